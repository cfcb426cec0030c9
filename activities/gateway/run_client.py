"""Takes the requests of a process to the workflow of its run, and brings the answers back."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pydantic import BaseModel
from temporalio.client import (
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ...saga.agents.foreign.host_protocol import (
    ASK_MODEL,
    DEPART,
    HOST_UP,
    MOST_AT_ONCE,
    RECORDED,
    USE_TOOL,
    Departure,
    HostAnswer,
    HostRefusal,
    HostTerms,
    HostUp,
    ModelQuestion,
    ToolUse,
)
from ...saga.agents.hosted_body import Dialect
from ...saga.errors import CounterstepError, FailureType
from ..models.hosted.dialects import most_tokens_of
from ..models.hosted.hosted_bodies import HostedBodies
from .request_identity import loose_part

logger = logging.getLogger("counterstep.gateway")

_OVER = 409
_REFUSED = 400
_UNREACHABLE = 503


class RequestRefused(CounterstepError):
    """A request of a process is not taken."""

    def __init__(self, refusal: HostRefusal) -> None:
        """Carries the reason to whoever answers the process."""
        super().__init__(refusal.message)
        self.refusal = refusal


class RunClient:
    """The run of a process agent, as one host of it sees it.

    Attributes:
        asked: The keys of all requests so far.
        loose: How many of them were recognized only by the loose match.
    """

    def __init__(
        self, handle: WorkflowHandle[Any, Any], attempt: int, bodies: HostedBodies, *, loose: bool
    ) -> None:
        """Prepares to take requests there.

        Args:
            handle: The workflow of the run.
            attempt: The number of the host.
            bodies: Where the bodies of requests to models are kept.
            loose: Whether the loose match is allowed.
        """
        self.asked: dict[str, None] = {}
        self.loose = 0
        self._handle = handle
        self._attempt = attempt
        self._bodies = bodies
        self._takes_loosely = loose
        self._terms = HostTerms()
        self._known: set[str] = set()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._order = asyncio.Lock()
        self._over: HostRefusal | None = None

    async def up(self, queue: str) -> None:
        """Says that the host is there.

        Args:
            queue: The host's own task queue.

        Raises:
            ApplicationError: The run is over, or another host has taken its place.
        """
        up = HostUp(attempt=self._attempt, queue=queue)
        try:
            told = await self._update(HOST_UP, up, f"{HOST_UP}/{self._attempt}")
        except RequestRefused as refused:
            raise ApplicationError(refused.refusal.message, type=refused.refusal.type) from None
        self._take(told)

    def close(self, reason: str) -> None:
        """Refuses every request from now on."""
        self._over = HostRefusal(type=FailureType.RUN_OVER, message=reason, status=_OVER)

    async def model(self, key: str, dialect: Dialect, model: str, body: dict[str, Any]) -> HostAnswer:
        """Asks a model.

        Args:
            key: The request's key.
            dialect: How the body is written.
            model: The litellm name.
            body: The whole body.

        Returns:
            The whole answer, or why there is none.
        """
        key = self._recognized(key)
        try:
            await self._expect(key)
            if key in self._known:
                return await self._recorded(key)
            sent, cap = most_tokens_of(dialect, body)
            question = ModelQuestion(
                attempt=self._attempt,
                key=key,
                model=model,
                dialect=dialect,
                input_tokens=sent,
                max_tokens=cap,
            )
            self._bodies.put(key, dialect, body)
            try:
                answer = await self._answer(ASK_MODEL, question)
                times = 1
                while answer.refusal is not None and answer.refusal.lost:
                    # An earlier host had asked it, and its answer went down with it.
                    times += 1
                    answer = await self._answer(ASK_MODEL, question, f"/{times}")
            finally:
                value, said = self._bodies.take(key)
            if answer.refusal is not None:
                return answer if said is None else _as_said(answer.refusal, said.status, said.message)
            self._known.add(key)
            return await self._recorded(key) if value is None else HostAnswer(value=value)
        except RequestRefused as refused:
            return HostAnswer(refusal=refused.refusal)

    async def tool(self, key: str, tool: str, arguments: dict[str, Any]) -> HostAnswer:
        """Calls a tool; returns the text for the agent, or why there is none."""
        try:
            await self._expect(key)
            if key in self._known:
                return await self._recorded(key)
            use = ToolUse(attempt=self._attempt, key=key, tool=tool, arguments=arguments)
            answer = await self._answer(USE_TOOL, use)
        except RequestRefused as refused:
            return HostAnswer(refusal=refused.refusal)
        if answer.refusal is None:
            self._known.add(key)
        return answer

    # ---

    def _recognized(self, key: str) -> str:
        """Returns the key of the recorded request that this one is, but for what is incidental."""
        if not self._takes_loosely or key in self._known or not loose_part(key):
            return key
        alike = [
            known
            for known in self._terms.known
            if known not in self.asked and loose_part(known) == loose_part(key)
        ]
        if len(alike) != 1:
            return key
        self.loose += 1
        logger.info("a request of %s is taken for %s, by the loose match", self._handle.id, alike[0])
        return alike[0]

    async def _expect(self, key: str) -> None:
        """Notes a request; one that is new may mean that the agent has taken another way than before."""
        if self._over is not None:
            raise RequestRefused(self._over)
        async with self._order:
            self.asked[key] = None
            left = tuple(known for known in self._terms.effects if known not in self.asked)
            if key in self._known or not left:
                return
            departure = Departure(attempt=self._attempt, key=key, left=left)
            logger.info("%s asks otherwise than before: %s is new", self._handle.id, key)
            told = await self._update(DEPART, departure, f"{DEPART}:{key}/{self._attempt}")
            self._take(told)
            if self._terms.on_divergence == "keep":  # it is told once, and settled at the end
                self._terms = self._terms.model_copy(update={"effects": ()})

    def _take(self, told: Any) -> None:
        self._terms = HostTerms.model_validate(told)
        self._known = set(self._terms.known)

    async def _recorded(self, key: str) -> HostAnswer:
        try:
            told = await self._handle.query(RECORDED, key)
        except RPCError as error:
            raise self._unreachable(error) from None
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError):
            raise self._silent() from None
        if told is None:
            raise RequestRefused(
                HostRefusal(type=FailureType.RUN_OVER, message="it was undone", status=_OVER)
            )
        return HostAnswer.model_validate(told)

    async def _answer(self, name: str, asked: ModelQuestion | ToolUse, again: str = "") -> HostAnswer:
        async with self._room:
            told = await self._update(name, asked, f"{asked.key}/{self._attempt}{again}")
        return HostAnswer.model_validate(told)

    async def _update(self, name: str, said: BaseModel, id_: str) -> Any:
        try:
            return await self._handle.execute_update(name, said.model_dump(mode="json"), id=id_)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            type_ = cause.type if isinstance(cause, ApplicationError) and cause.type else "Refused"
            message = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise RequestRefused(HostRefusal(type=type_, message=message, status=_OVER)) from None
        except RPCError as error:
            raise self._unreachable(error) from None
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            raise self._silent() from None

    def _silent(self) -> RequestRefused:
        message = "the run does not answer"
        refusal = HostRefusal(type=FailureType.RUN_OVER, message=message, status=_UNREACHABLE)
        return RequestRefused(self._over or refusal)

    def _unreachable(self, error: RPCError) -> RequestRefused:
        if error.status is RPCStatusCode.NOT_FOUND:
            self.close("the run is over")
        refusal = HostRefusal(type=FailureType.RUN_OVER, message=error.message, status=_UNREACHABLE)
        return RequestRefused(self._over or refusal)


def _as_said(refusal: HostRefusal, status: int | None, message: str) -> HostAnswer:
    """Returns a refusal in the provider's own words, unless it is the run's."""
    if refusal.type not in (FailureType.MODEL_REFUSED, FailureType.MODEL_UNAVAILABLE):
        return HostAnswer(refusal=refusal)
    # Clients ask again at 503; where the worker has no key for the model, that is in vain.
    without = _REFUSED if refusal.type == FailureType.MODEL_REFUSED else _UNREACHABLE
    changes = {"message": message, "status": status or without}
    return HostAnswer(refusal=refusal.model_copy(update=changes))
