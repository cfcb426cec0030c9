"""What a request to a model meets before it is sent: the breaker of its model, and the limits of the pool."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ...pool_limits.breakers import logger
from ...pool_limits.pool import Pool
from ...pool_limits.rules import shown
from ...pool_limits.store import BACK_SOON, End, Full, Passage, StoreUnreachable
from ...saga.agents.model_protocol import ModelRequest
from ...saga.errors import ExpressionError, FailureType
from ...saga.history_format import STAND_IN
from ...saga.limits.usage import CallUsage
from .model_failure import ModelFailure

LONGEST_REQUEST = timedelta(minutes=10)
"""How long a request may take of which nobody has said it."""

_GRACE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Shut:
    """Why a model may not be asked now.

    Attributes:
        type: `LimitReached` or `BreakerOpen`.
        name: The limit, or the model.
        message: What is said of it.
        until: When to try again; None where waiting does not help.
        may_open_soon: Whether it may be possible at any moment before that.
    """

    type: FailureType
    name: str
    message: str
    until: datetime | None
    may_open_soon: bool = False

    @property
    def wait(self) -> float:
        """Seconds until it is worth trying again; infinite where it is not."""
        if self.until is None:
            return float("inf")
        return max(0.0, (self.until - datetime.now(UTC)).total_seconds())

    def error(self, details: dict[str, Any]) -> ApplicationError:
        """Returns what the call fails with.

        Args:
            details: What else it tells.
        """
        until = self.until.isoformat() if self.until is not None else None
        told = {**details, "until": until, "limit": self.name}
        return ApplicationError(self.message, told, type=self.type, non_retryable=True)


class Admission:
    """One request that may be sent."""

    def __init__(self, pool: Pool, model: str, passage: Passage, booking: str | None) -> None:
        self._pool = pool
        self._model = model
        self._passage = passage
        self._booking = booking
        self._began = time.monotonic()

    async def answered(self, usage: CallUsage) -> None:
        """Tells that the model has answered, and what that has cost."""
        self._pool.latencies.note(self._model, time.monotonic() - self._began)
        await self._settle(usage)
        await self._pool.breakers.leave(self._model, End.GOOD, self._passage)

    async def failed(self, failure: ModelFailure) -> None:
        """Tells that the model has not answered. What it may have cost all the same stays reserved."""
        if failure.status == 408:  # at least so long it would have taken
            self._pool.latencies.note(self._model, time.monotonic() - self._began)
        if failure.usage is not None:
            await self._settle(failure.usage)
        elif not failure.may_have_cost:
            await self._settle(CallUsage(model_calls=1, input_tokens=0, output_tokens=0, usd=0.0))
        await self._pool.breakers.leave(self._model, _end(failure), self._passage, failure.told)

    async def lost(self) -> None:
        """Tells that nobody knows how the request has ended."""
        await self._pool.breakers.leave(self._model, End.UNKNOWN, self._passage)

    async def _settle(self, usage: CallUsage) -> None:
        if self._booking is None:
            return
        try:
            await self._pool.limits.settle(self._booking, usage)
        except StoreUnreachable as error:
            logger.warning("what %s has cost stays counted as reserved: %s", self._model, error)


class RequestGate:
    """Stands before each request of one model call."""

    def __init__(self, pool: Pool, request: ModelRequest) -> None:
        """Stands before a call.

        Args:
            pool: Limits and breakers.
            request: What is asked.
        """
        self._pool = pool
        self._request = request
        seconds = request.timeout
        self._longest = (timedelta(seconds=seconds) if seconds else LONGEST_REQUEST) + _GRACE
        self._sent = 0

    @property
    def bounds_costs(self) -> bool:
        """Whether it has to know what a request may cost."""
        return self._pool.limits.bounds_costs

    async def enter(self, model: str, most: CallUsage) -> Admission | Shut:
        """Asks whether a request may be sent.

        Args:
            model: Who is asked.
            most: What the request may cost at most.

        Raises:
            ApplicationError: The key of a limit cannot be evaluated.
        """
        passage = Passage(True)
        breakers = self._pool.breakers
        if breakers.rules.models and model != STAND_IN:
            passage = await breakers.enter(model, self._longest)
        if not passage.may_pass:
            return breaker_open(f"model {model}", model, passage)
        try:
            booking, shut = await self._reserve(model, most)
        except ApplicationError:
            await breakers.leave(model, End.UNKNOWN, passage)
            raise
        if shut is None:
            return Admission(self._pool, model, passage, booking)
        await breakers.leave(model, End.UNKNOWN, passage)
        return shut

    async def _reserve(self, model: str, most: CallUsage) -> tuple[str | None, Shut | None]:
        limits = self._pool.limits
        if not limits.of_calls:
            return None, None
        self._sent += 1
        booking = _name(self._sent)
        agent = {"name": self._request.agent, "model": model, "provider": model.partition("/")[0]}
        scope: dict[str, Any] = {"agent": agent}
        if self._request.pool is not None:
            scope["task"] = self._request.pool.get("task")
        try:
            full = await limits.reserve(booking, scope, most, self._longest)
        except ExpressionError as error:
            raise ApplicationError(str(error), type=FailureType.EXPRESSION, non_retryable=True) from None
        except StoreUnreachable as error:
            return None, store_away(limits.of_calls[0].name, error)
        return booking, None if full is None else limit_reached(full)


def limit_reached(full: Full) -> Shut:
    """Says that a bucket has no room."""
    charge = full.charge
    unit = next(unit for unit in ("usd", "tokens", "model_calls", "tasks") if unit == charge.unit)
    bucket = f"{charge.limit} ({charge.label})" if charge.label else charge.limit
    most = shown(unit, charge.cap)
    if full.until is None:
        message = (
            f"the limit {bucket} allows {most}, and this call alone may take {shown(unit, charge.amount)}"
        )
        if unit in ("usd", "tokens"):
            message += "; a smaller max_tokens of the agent makes that less"
        return Shut(FailureType.LIMIT_REACHED, charge.limit, message, None)
    used = f"{shown(unit, full.used)} of {most} are used{' or reserved' if full.held else ''}"
    message = f"the limit {bucket} is reached: {used}, and this call may take {shown(unit, charge.amount)}"
    return Shut(FailureType.LIMIT_REACHED, charge.limit, message, _time(full.until), full.held)


def store_away(limit: str, error: StoreUnreachable) -> Shut:
    """Says that nobody knows whether there is room, so that there is none."""
    message = f"the store of limits cannot be reached, so that nothing that they bound is done: {error}"
    until = datetime.now(UTC) + timedelta(milliseconds=BACK_SOON)
    return Shut(FailureType.LIMIT_REACHED, limit, message, until, may_open_soon=True)


def breaker_open(what: str, name: str, passage: Passage) -> Shut:
    """Says that a breaker is open."""
    because = f": {passage.reason}" if passage.reason else ""
    message = f"the breaker of {what} is open{because}"
    return Shut(FailureType.BREAKER_OPEN, name, message, _time(passage.until))


def _end(failure: ModelFailure) -> End:
    """Says what a failure tells of the model: a refusal is an answer, and who asks to wait is not sick."""
    if failure.retryable:
        return End.UNKNOWN if failure.status == 429 and failure.retry_after is not None else End.BAD
    return End.UNKNOWN if failure.status is None else End.GOOD


def _name(number: int) -> str:
    """Names one request for ever: each attempt may be paid, also a lost one, and a call may be made again."""
    if not activity.in_activity():
        return uuid4().hex
    info = activity.info()
    call = f"{info.workflow_run_id}/{info.activity_id}/{info.scheduled_time.timestamp():.6f}"
    return f"{call}/{info.attempt}/{number}"


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
