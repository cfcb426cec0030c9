"""Runs a user's function for an activity: plain ones in threads, async ones on a loop of their own."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from ..saga.errors import FailureType, NotApplied
from ..saga.failure import trim
from .function import Function

MAX_THREADS = 200
"""Plain functions that run at once in one worker process; the worker's own limit on activities is 100."""


async def execute(function: Function, arguments: dict[str, Any]) -> Any:
    """Calls a user's function for the running activity.

    Args:
        function: The function and its types.
        arguments: JSON values by parameter name.

    Returns:
        The result as JSON.

    Raises:
        ApplicationError: Arguments or result do not fit the signature, or the function raised `NotApplied`
            (none of these is tried again).
        Exception: Whatever else the function raised.
        asyncio.CancelledError: The call was cancelled, and the function has ended without a result.
    """
    try:
        bound = function.bind(arguments)
    except ValidationError as error:
        raise _final(FailureType.INVALID_INPUT, _reasons(error)) from None
    try:
        result = await _run(function, bound)
    except NotApplied as error:
        raise _final(FailureType.NOT_APPLIED, str(error) or "nothing happened") from None
    try:
        return function.dump(result)
    except ValidationError as error:
        raise _final(FailureType.INVALID_OUTPUT, f"{function.name} returned: {_reasons(error)}") from None


async def _run(function: Function, bound: dict[str, Any]) -> Any:
    call = partial(function.call, **bound)
    future = _on_user_loop(call) if function.is_async else _in_thread(call)
    return await _outcome(future, stoppable=function.is_async)


def _in_thread(call: Callable[[], Any]) -> Future[Any]:
    return _threads().submit(contextvars.copy_context().run, call)


def _on_user_loop(call: Callable[[], Coroutine[Any, Any, Any]]) -> Future[Any]:
    # A loop beside the worker's: a coroutine that blocks must not stop the heartbeats of other calls.
    return asyncio.run_coroutine_threadsafe(call(), _user_loop())


async def _outcome(future: Future[Any], *, stoppable: bool) -> Any:
    """Awaits the function through a cancel: what it did in spite of it is known then, and kept."""
    waiting = asyncio.wrap_future(future)
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as error:
            if waiting.cancelled():
                break
            cancelled = error
            if stoppable:
                future.cancel()
        except Exception:
            break
    if future.cancelled():
        raise cancelled or asyncio.CancelledError()
    return future.result()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="counterstep-tool")


@lru_cache(maxsize=1)
def _user_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="counterstep-user-loop", daemon=True).start()
    return loop


def _final(type_: FailureType, message: str) -> ApplicationError:
    attempt = {"attempt": activity.info().attempt}
    return ApplicationError(trim(message), attempt, type=type_, non_retryable=True)


def _reasons(error: ValidationError) -> str:
    parts = [
        f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {item['msg']}" for item in error.errors()[:5]
    ]
    return "; ".join(parts)
