"""Runs a user's function for an activity: a plain one in a thread, an async one on a loop of its own."""

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
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from ..saga.errors import FailureType, NotApplied
from ..saga.failure import trim
from ..saga.fault_texts import faults_in
from .function import Function

MAX_THREADS = 200
"""Plain functions that run at once in one worker process; the worker's own limit on activities is 100."""

_UNFIT = (StopIteration, SystemExit, KeyboardInterrupt)
"""What a future cannot carry, or what would end the loop of all users' coroutines."""


async def execute(function: Function, arguments: dict[str, Any]) -> Any:
    """Calls a user's function for the running activity.

    Args:
        function: The function and its types.
        arguments: JSON values by parameter name.

    Returns:
        The result as JSON.

    Raises:
        ApplicationError: The arguments or the result do not fit the signature, or the function raised
            `NotApplied`. It is not retried in either case.
        Exception: Whatever else the function raised.
        asyncio.CancelledError: The call was cancelled, and the function has ended without a result.
    """
    try:
        bound = function.bind(arguments)
    except ValidationError as error:
        raise _final(FailureType.INVALID_INPUT, faults_in(error)) from None
    try:
        result = await _run(function, bound)
    except NotApplied as error:
        raise _final(FailureType.NOT_APPLIED, str(error) or "nothing happened") from None
    try:
        return function.dump(result)
    except ValidationError as error:
        raise _final(FailureType.INVALID_OUTPUT, f"{function.name} returned: {faults_in(error)}") from None


async def _run(function: Function, bound: dict[str, Any]) -> Any:
    """Awaits the function even after a cancel, so that what it still did is known and kept."""
    call = partial(function.call, **bound)
    running = _OnUserLoop(call) if function.is_async else _InThread(call)
    waiting = asyncio.wrap_future(running.outcome)
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError as error:
            cancelled = error
            running.stop()
    if waiting.cancelled():
        raise cancelled or asyncio.CancelledError()
    return waiting.result()


class _InThread:
    """A plain function in a thread, which cannot be stopped."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.outcome = _threads().submit(contextvars.copy_context().run, self._run, call)

    def stop(self) -> None:
        pass

    @staticmethod
    def _run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except _UNFIT as error:
            raise _as_ordinary(error) from error


class _OnUserLoop:
    """A coroutine on a loop of its own, so that code that blocks does not stop the heartbeats of other calls.

    The future of `asyncio.run_coroutine_threadsafe` is done as soon as it is cancelled. Here `outcome` is
    done only when the coroutine has ended, because nothing that it still does may land after its undo.
    """

    def __init__(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self.outcome: Future[Any] = Future()
        self._loop = _user_loop()
        self._loop.call_soon_threadsafe(self._start, call)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)

    def _start(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._task = self._loop.create_task(self._run(call))
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        self._task.cancel()

    @staticmethod
    async def _run(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        try:
            return await call()
        except _UNFIT as error:
            raise _as_ordinary(error) from error

    def _end(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.outcome.cancel()
        elif error := task.exception():
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


def _as_ordinary(error: BaseException) -> RuntimeError:
    return RuntimeError(f"{type(error).__name__}: {error}")


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
    return ApplicationError(
        trim(message), attempt, type=type_, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )
