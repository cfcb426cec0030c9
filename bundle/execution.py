"""Runs a user's function for an activity: a plain one in a thread, an async one on a loop of its own."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from ..saga.errors import FailureType, NotApplied
from ..saga.failure import trim
from ..saga.fault_texts import faults_in
from .function import Function
from .raised import as_application_error, leaves_of
from .user_loop import UserCall

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
        ApplicationError: The arguments or the result do not fit the signature, or the function raised
            `NotApplied`; it is not retried in either case. Or the function raised something else, which is
            named as `as_application_error` says.
        asyncio.CancelledError: The call was cancelled, and the function has ended without a result.
    """
    try:
        bound = function.bind(arguments)
    except ValidationError as error:
        raise _final(FailureType.INVALID_INPUT, faults_in(error)) from None
    result = await _run(function, bound)
    try:
        return function.dump(result)
    except ValidationError as error:
        raise _final(FailureType.INVALID_OUTPUT, f"{function.name} returned: {faults_in(error)}") from None


async def _run(function: Function, bound: dict[str, Any]) -> Any:
    """Calls the function; what it raises becomes the error that the activity fails with."""
    call = partial(function.call, **bound)
    name = activity.info().activity_type
    ended = await (_on_user_loop(name, call) if function.is_async else _in_thread(call))
    if ended.error is None and inspect.isawaitable(ended.value):
        # A plain function around an async one, as `functools.wraps` leaves it.
        waiting = ended.value
        ended = await _on_user_loop(name, lambda: waiting)
    if ended.error is None:
        return ended.value
    if all(isinstance(leaf, NotApplied) for leaf in leaves_of(ended.error)):
        reasons = "; ".join(dict.fromkeys(str(leaf) for leaf in leaves_of(ended.error) if str(leaf)))
        raise _final(FailureType.NOT_APPLIED, reasons or "nothing happened")
    failure = as_application_error(ended.error)
    if failure is ended.error:
        raise failure
    raise failure from ended.error


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a call has ended: a future would lose errors that are false, and some it cannot carry at all."""

    value: Any = None
    error: BaseException | None = None


async def _in_thread(call: Callable[[], Any]) -> _Ended:
    def work() -> _Ended:
        try:
            return _Ended(call())
        except BaseException as error:
            return _Ended(error=error)

    running = _threads().submit(contextvars.copy_context().run, work)
    return await _outlasted(asyncio.wrap_future(running), lambda: None)


async def _on_user_loop(name: str, call: Callable[[], Awaitable[Any]]) -> _Ended:
    async def work() -> _Ended:
        try:
            return _Ended(await call())
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return _Ended(error=error)

    running = UserCall(name, work())
    running.start()
    return await _outlasted(running.outcome, running.stop)


async def _outlasted(waiting: asyncio.Future[_Ended], stop: Callable[[], None]) -> _Ended:
    """Awaits a call even after a cancel, so that what it still did is known and kept."""
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError as error:
            cancelled = error
            stop()
    if not waiting.cancelled():
        return waiting.result()
    if cancelled is not None:
        raise cancelled
    return _Ended(error=asyncio.CancelledError("the function was cancelled, though nobody has asked for it"))


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="counterstep-tool")


def _final(type_: FailureType, message: str) -> ApplicationError:
    attempt = {"attempt": activity.info().attempt}
    return ApplicationError(
        trim(message), attempt, type=type_, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )
