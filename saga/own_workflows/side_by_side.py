"""Awaits calls of a saga side by side; the first failure stops those that it is safe to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from typing import Any

from temporalio import workflow

from ..failure import text_of
from ..temporal.stop_scope import StopScope

SCOPE: ContextVar[StopScope | None] = ContextVar("counterstep_scope", default=None)
"""The part of a saga that the running code belongs to; None for the whole of it."""


async def side_by_side(calls: Sequence[Awaitable[Any]], scope: StopScope) -> list[Any]:
    """Awaits calls as one part of a saga.

    Args:
        calls: What ``saga.call(...)`` returned, or other awaitables.
        scope: That part, which the first failure stops.

    Returns:
        The results in order.

    Raises:
        BaseException: The first failure; the other calls have ended by then.
    """
    token = SCOPE.set(scope)
    try:
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(call) for call in calls]
    finally:
        SCOPE.reset(token)
    waiting = list(tasks)
    first: BaseException | None = None
    while waiting:
        try:
            done, waiting = await workflow.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        for task in done:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is not None and first is None:
                first = error
                scope.stop(text_of(error))
    if first is not None:
        raise first
    return [task.result() for task in tasks]
