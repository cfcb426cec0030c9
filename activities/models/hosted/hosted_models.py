"""The activity that asks models for a process, on the queue of its host alone, which has the bodies."""

from __future__ import annotations

import asyncio
import importlib
from functools import partial
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ....pool_limits.pool import Pool
from ....saga.agents.model_protocol import ModelRequest
from ....saga.errors import FailureType
from ....saga.history_format import HOSTED_MODEL, STAND_IN
from ..model_answer import that_travels
from ..model_chain import ask_in_turn
from ..request_gate import RequestGate
from .hosted_bodies import HostedBodies

_CLIENT = __package__.rpartition(".")[0] + ".litellm_client"


class HostedModels:
    """Asks models for the process of one host."""

    def __init__(self, pool: Pool, bodies: HostedBodies) -> None:
        """Prepares to ask.

        Args:
            pool: The breakers and limits that every request meets.
            bodies: What the process has asked.
        """
        self._pool = pool
        self._bodies = bodies

    @activity.defn(name=HOSTED_MODEL)
    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Asks a model with the body that the host has.

        Args:
            request: A `ModelRequest` as JSON, whose `hosted` names the body.

        Returns:
            A `ModelReply` as JSON; its output is the whole answer.

        Raises:
            ApplicationError: See `ask_in_turn`; or the stand-in was asked, which answers no process.
        """
        asked = ModelRequest.model_validate(request)
        if asked.models == (STAND_IN,):
            message = "the stand-in plays no process; set COUNTERSTEP_MODEL, or name models of the agent"
            raise ApplicationError(message, type=FailureType.MODEL_REFUSED, non_retryable=True)
        client = await asyncio.to_thread(importlib.import_module, _CLIENT)
        prepare = partial(client.dialects.prepare, bodies=self._bodies, unpriced=self._pool.unpriced)
        return that_travels(await ask_in_turn(asked, prepare, RequestGate(self._pool, asked)))
