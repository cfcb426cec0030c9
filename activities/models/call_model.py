"""The activity behind every request to a language model; only workers that need the client load it."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final
from uuid import uuid4

from temporalio import activity

from ...pool_limits.outcomes import OutcomeStore
from ...pool_limits.pool import Pool
from ...pool_limits.store import StoreUnreachable
from ...saga.agents.model_protocol import ModelReply, ModelRequest
from ...saga.history_format import CALL_MODEL, STAND_IN
from .model_chain import PaidAnswer, PreparedRequest, ask_in_turn
from .request_gate import LONGEST_REQUEST, RequestGate
from .stand_in_call import answer_as_stand_in

logger = logging.getLogger("counterstep.pool")

_CLIENT = f"{__package__}.litellm_client"

_GRACE: Final = 5_000
"""Milliseconds after which a call that should have ended is taken for lost."""


class ModelCalls:
    """Asks models for the tasks of one worker."""

    def __init__(self, pool: Pool) -> None:
        """Prepares to ask models.

        Args:
            pool: The breakers and limits that every request meets.
        """
        self._pool = pool

    @activity.defn(name=CALL_MODEL)
    async def call_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Asks a model, as `litellm_client.call_model` describes.

        Args:
            request: A `ModelRequest` as JSON.

        Returns:
            A `ModelReply` as JSON.

        Raises:
            ApplicationError: Every model failed, or may not be asked now.
        """
        asked = ModelRequest.model_validate(request)
        gate = RequestGate(self._pool, asked)
        async with _under_way(asked, self._pool.store.outcomes):
            if asked.models == (STAND_IN,):
                return (await self._played(asked, gate)).model_dump(mode="json")
            # Loading takes seconds. Workers with model agents have done it; on others a judge may be the
            # first.
            client = await asyncio.to_thread(importlib.import_module, _CLIENT)
            reply: dict[str, Any] = await client.call_model(request, gate, self._pool.unpriced)
            return reply

    async def _played(self, asked: ModelRequest, gate: RequestGate) -> ModelReply:
        """Lets the stand-in answer before it may, where there are limits: it costs nothing."""
        reply = answer_as_stand_in(asked)
        if not self._pool.limits.of_calls:
            return reply
        request = PreparedRequest(reply.usage, partial(_at_once, PaidAnswer(reply.usage, lambda: reply)))
        return await ask_in_turn(asked, lambda _, __: request, gate)


@asynccontextmanager
async def _under_way(asked: ModelRequest, store: OutcomeStore) -> AsyncIterator[None]:
    """Counts a call of an agent as under way, where agents are drawn by that; a store may be away."""
    if not asked.counts_load:
        yield
        return
    name, seconds = uuid4().hex, (asked.timeout or LONGEST_REQUEST.total_seconds()) * len(asked.models)
    try:
        await store.begin(asked.agent, name, round(1000 * seconds) + _GRACE)
    except StoreUnreachable as error:
        logger.info("a call of %s is not counted as under way: %s", asked.agent, error)
    try:
        yield
    finally:
        with suppress(StoreUnreachable):  # it is taken for lost in time
            await store.end(asked.agent, name)


def warm_up() -> None:
    """Loads the client and what it would load with its first calls, which takes seconds."""
    importlib.import_module(_CLIENT).warm_up()


async def _at_once(answer: PaidAnswer) -> PaidAnswer:
    return answer
