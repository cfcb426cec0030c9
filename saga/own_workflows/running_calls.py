"""The calls of one saga that run, each in a task of its own, so that a cancel leaves its outcome known."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from ..engine.run_context import RunContext
from ..failure import Failed, Stopped
from ..temporal.call_failed import CallFailed
from ..temporal.stop_scope import StopScope
from .saga_calls import GIVEN_UP, SagaCalls


class RunningCalls:
    """Awaits the calls of one saga."""

    def __init__(self, context: RunContext, calls: SagaCalls, scope: StopScope) -> None:
        """Starts with nothing that runs.

        Args:
            context: What the saga is run with.
            calls: Told what the workflow turns its back on.
            scope: Of the whole saga; a cancel of the workflow stops it.
        """
        self._context = context
        self._record = context.record
        self._calls = calls
        self._scope = scope
        self._running: set[asyncio.Task[Any]] = set()

    def scope_in(self, outer: StopScope) -> StopScope:
        """Opens the scope of one call, which is stopped where the workflow turns its back on the call."""
        return StopScope(outer) if self._context.engine >= 2 else outer

    async def run(
        self, work: Coroutine[Any, Any, Any], name: str, scope: StopScope, *, interruptible: bool = False
    ) -> Any:
        """Runs a call in a task of its own.

        Args:
            work: The call.
            name: The step's id.
            scope: Of this call alone.
            interruptible: Whether to wait until it is undone where the workflow turns its back on it.

        Returns:
            Its result.

        Raises:
            CallFailed: It has failed.
            asyncio.CancelledError: The workflow was cancelled, or has turned its back on the call.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        try:
            result = await self._outlast(task)
        except asyncio.CancelledError:
            self._calls.give_up(name)
            if workflow.cancellation_reason() is not None:
                self._scope.stop("the workflow was cancelled")
            elif self._context.engine >= 2 and not task.cancelling():  # an eviction cancels it as well
                scope.stop(GIVEN_UP)
                if interruptible and not task.done():
                    await workflow.wait([task])
            raise
        except Stopped as stopped:
            raise asyncio.CancelledError(str(stopped)) from None
        except Failed as failed:
            raise CallFailed(failed.failure) from failed.__cause__
        finally:
            if task.done():
                self._running.discard(task)
        if is_cancelled() and not self._record.committed:
            raise asyncio.CancelledError("the workflow was cancelled")
        return result

    async def drain(self) -> None:
        """Waits for whatever still runs."""
        while self._running:
            done, _ = await workflow.wait(list(self._running), return_when=asyncio.ALL_COMPLETED)
            for task in done:
                self._running.discard(task)
                if not task.cancelled():
                    task.exception()

    async def _outlast(self, task: asyncio.Task[Any]) -> Any:
        """Awaits a call; past the point of no return a cancel of the workflow does not end the wait."""
        while True:
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.done() or not (is_cancelled() and self._record.committed):
                    raise
                self._record.log.add("counterstep", "a cancel comes too late, past the point of no return")


def is_cancelled() -> bool:
    """Says whether the workflow was asked to cancel."""
    return workflow.cancellation_reason() is not None


def comes_of_cancel(error: BaseException | None, engine: int) -> bool:
    """Says whether an exception is a cancel; those of activities, and of frameworks, have it inside."""
    if engine < 4:
        return isinstance(error, asyncio.CancelledError)
    causes: list[BaseException] = []
    while error is not None and error not in causes:  # an exception may be its own cause
        if is_cancelled_exception(error):
            return True
        causes.append(error)
        error = error.__cause__
    return False
