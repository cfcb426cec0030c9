"""Calls that another worker goes on with: one that stops does not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from temporalio import activity

T = TypeVar("T")

ANOTHER_GOES_ON: Final = "this worker stops; another one goes on"


async def unless_stopped(work: Coroutine[Any, Any, T], failure: Exception) -> T:
    """Does the work of the running activity; it is cancelled when the activity is, or when its worker stops.

    Args:
        work: What to do.
        failure: Is raised when the worker stops.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(activity.wait_for_worker_shutdown())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise failure
        return working.result()
    finally:
        stopping.cancel()
        working.cancel()
        await _outlasted(working)


async def _outlasted(work: asyncio.Task[Any]) -> None:
    """Waits until cancelled work has ended, also if the activity is cancelled once more, as by a stop."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
