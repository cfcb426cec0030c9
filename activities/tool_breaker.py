"""Calls of tools that have a circuit breaker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..bundle.raised import as_application_error
from ..observability.redaction import redacted
from ..pool_limits.breakers import Breakers
from ..pool_limits.store import End, Passage
from ..saga.duration import format_duration
from ..saga.errors import FailureType

PATIENCE = 3.0
"""Seconds that a call waits by itself; a longer wait is the task's."""

_LATEST = timedelta(milliseconds=200)
"""So long before its timeout a call counts as one that took too long: afterwards nobody here hears of it."""


async def behind_breaker(breakers: Breakers, call: Callable[[], Awaitable[Any]]) -> Any:
    """Makes the call of the running activity if its breaker allows it, and tells the breaker how it ended.

    What counts as a failure is what is worth a retry: an exception, and a call that takes too long. What a
    tool has refused for good, e.g. with `NotApplied`, is an answer.

    Args:
        breakers: The breakers.
        call: Makes the call.

    Raises:
        ApplicationError: `BreakerOpen`. The details tell until when, and the attempt: only of the first one
            it is certain that nothing has happened.
    """
    info = activity.info()
    longest = info.start_to_close_timeout or timedelta(minutes=10)
    passage = await _passage(breakers, info.activity_type, longest)
    report = _Report(breakers, info.activity_type, passage)
    late = asyncio.create_task(report.after(longest - min(_LATEST, longest / 10), longest))
    try:
        result = await call()
    except asyncio.CancelledError:
        await report(End.UNKNOWN)
        raise
    except Exception as error:
        await report(*_end(as_application_error(error)))
        raise
    else:
        await report(End.GOOD)
        return result
    finally:
        late.cancel()


class _Report:
    """Tells a breaker once how a call has ended."""

    def __init__(self, breakers: Breakers, tool: str, passage: Passage) -> None:
        self._breakers = breakers
        self._tool = tool
        self._passage = passage
        self._told = False

    async def __call__(self, end: End, reason: str = "") -> None:
        if not self._told:
            self._told = True
            await self._breakers.leave(self._tool, end, self._passage, reason)

    async def after(self, delay: timedelta, longest: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())
        await self(End.BAD, f"no answer within {format_duration(longest)}")


async def _passage(breakers: Breakers, tool: str, longest: timedelta) -> Passage:
    patient_until = time.monotonic() + PATIENCE
    while True:
        passage = await breakers.enter(tool, longest)
        if passage.may_pass:
            return passage
        until = datetime.fromtimestamp(passage.until / 1000, UTC)
        pause = max(0.05, (until - datetime.now(UTC)).total_seconds())
        if time.monotonic() + pause > patient_until:
            raise _open(tool, passage, until, pause)
        await asyncio.sleep(pause)


def _open(tool: str, passage: Passage, until: datetime, pause: float) -> ApplicationError:
    attempt = activity.info().attempt
    because = f": {passage.reason}" if passage.reason else ""
    return ApplicationError(
        f"the breaker of {tool} is open{because}",
        {"until": until.isoformat(), "limit": tool, "attempt": attempt},
        type=FailureType.BREAKER_OPEN,
        # An attempt before this one may have done something, so the call is not as good as never made.
        non_retryable=attempt == 1,
        next_retry_delay=None if attempt == 1 else timedelta(seconds=pause),
    )


def _end(error: ApplicationError) -> tuple[End, str]:
    if error.type == FailureType.INVALID_INPUT:
        return End.UNKNOWN, ""
    if error.non_retryable:
        return End.GOOD, ""
    return End.BAD, redacted(f"{error.type}: {error.message}")
