"""How a saga in a workflow of one's own ends."""

from __future__ import annotations

from ..engine.lifecycle import Lifecycle, failure_of
from ..engine.run_context import RunContext
from ..errors import FailureType
from ..failure import Failure, text_of
from ..temporal.stop_scope import StopScope
from .running_calls import RunningCalls, comes_of_cancel, is_cancelled
from .saga_calls import GIVEN_UP, SagaCalls


class SagaEnd:
    """Ends one saga: what it did stays, or is undone."""

    def __init__(
        self,
        context: RunContext,
        calls: SagaCalls,
        running: RunningCalls,
        life: Lifecycle,
        scope: StopScope,
    ) -> None:
        """Prepares the end.

        Args:
            context: What the saga is run with.
            calls: Its calls.
            running: Those that still run.
            life: Enters the states at the end.
            scope: Of the whole saga.
        """
        self._context = context
        self._record = context.record
        self._calls = calls
        self._running = running
        self._life = life
        self._scope = scope

    async def reach(self, error: BaseException | None) -> BaseException | None:
        """Returns what the block must raise, or None when it ended well.

        Args:
            error: What its body has raised.
        """
        if error is not None:
            self._scope.stop(text_of(error) or type(error).__name__)
        await self._running.drain()
        failure = None if error is None else failure_of(error)
        if error is None and (self._record.committed or not is_cancelled()):
            # What the workflow has turned its back on is undone; the rest stays.
            left = self._calls.left_behind()
            if not await self._context.rollback.run(GIVEN_UP, within=left):
                message = "a call that was given up stays"
                failure = Failure(step="", type=FailureType.ABANDONED, message=message)
            elif self._record.committed or not is_cancelled():
                self._life.complete()
                return None
        cancelled = is_cancelled() and (failure is None or comes_of_cancel(error, self._context.engine))
        if cancelled or failure is None:
            failure = Failure(step="", type=FailureType.CANCELLED, message="the workflow was cancelled")
        if self._record.committed:
            self._record.blame(failure)
            return self._life.ended(cancelled=False, cause=error)
        await self._life.undo(failure)
        return self._life.ended(cancelled=cancelled, cause=error)
