"""From the start of a task to its end: state, search attributes, rollback, and the error it ends with."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.exceptions import ApplicationError, FailureError

from ..calls.replaced_runs import ReplacedRuns
from ..errors import FailureType
from ..failure import Failed, Failure, text_of, trim
from ..record.task_state import TaskState
from ..record.undo_progress import undone_steps
from ..temporal.call_failed import CallFailed
from ..temporal.carried import carried
from .run_context import RunContext

MAX_REMAINING = 500
"""Entries that a failure lists: it has to fit into one payload. The board, and recover, have them all."""


class Lifecycle:
    """Ends one task whole or undone."""

    def __init__(self, context: RunContext) -> None:
        """Prepares the beginning and the end of one task.

        Args:
            context: What the task is run with.
        """
        self._record = context.record
        self._status = context.status
        self._rollback = context.rollback
        self._replaced = ReplacedRuns(context.record, context.reset_gate)

    def begin(self) -> None:
        """Shows the task as running."""
        self._status.begin()

    def complete(self) -> None:
        """Shows the task as completed."""
        self._status.enter(TaskState.COMPLETED)

    async def undo(self, failure: Failure) -> None:
        """Undoes everything; what still stands afterwards, nobody has resolved in time."""
        self._record.blame(failure)
        newest = await self._replaced.adopt()
        if self._record.committed:
            return
        if self._record.ledger.is_open():
            self._status.enter(TaskState.COMPENSATING, failure.step)
        while newest and await self._rollback.run(str(failure), within=newest):
            newest = await self._replaced.adopt()
        await self._rollback.run(str(failure))

    def ended(self, *, cancelled: bool, cause: BaseException | None) -> BaseException:
        """Shows how the task ended and returns what its workflow must raise.

        Args:
            cancelled: Whether the task ends because it was asked to.
            cause: What broke it, if anything did; its traceback stays with the failure.
        """
        remaining = self._record.ledger.remaining()
        if cancelled and not remaining and not self._record.committed:
            self._status.enter(TaskState.CANCELLED)
            return asyncio.CancelledError("cancelled and undone")
        failure = self._record.failure
        assert failure is not None
        details: dict[str, Any] = {
            "failure": failure.model_dump(mode="json"),
            "undone": undone_steps(self._record.ledger, self._record.undo_order),
            "not_undone": self._record.ledger.not_undone_steps(),
            "usage": self._record.spending.shown.report(),
        }
        if not remaining and not self._record.committed:
            self._status.enter(TaskState.ROLLED_BACK)
            error = ApplicationError(str(failure), details, type=FailureType.ROLLED_BACK, non_retryable=True)
        else:
            self._status.enter(TaskState.ROLLBACK_INCOMPLETE)
            details["remaining"] = [
                {
                    "id": e.id,
                    "step": e.step,
                    "compensation": e.compensation,
                    "state": e.state.value,
                    "error": e.error,
                }
                for e in remaining[:MAX_REMAINING]
            ]
            details["remaining_count"] = len(remaining)
            details["committed"] = self._record.committed
            standing = ", ".join(details["not_undone"])
            message = f"{failure}; and these steps are not undone: {standing}"
            if self._record.committed:
                message = f"{failure}; past the point of no return, what came before it stands: {standing}"
            error = ApplicationError(
                message, details, type=FailureType.ROLLBACK_INCOMPLETE, non_retryable=True
            )
        error.__cause__ = _small(cause)
        return error


def failure_of(error: BaseException) -> Failure:
    """Says as a `Failure` what an exception means.

    An ordinary one is a bug and keeps its type's name. Of a group, as a ``TaskGroup`` raises it, the first
    one counts. What a framework has made of a failed call of one of its agents is that failure.
    """
    causes: list[BaseException] = []
    wrapped: BaseException | None = error
    while wrapped is not None and wrapped not in causes:  # an exception may be its own cause
        if isinstance(wrapped, CallFailed) and wrapped.in_framework:
            return wrapped.call_failure
        causes.append(wrapped)
        wrapped = wrapped.__cause__
    if isinstance(error, BaseExceptionGroup):
        return failure_of(error.exceptions[0])
    if isinstance(error, Failed):
        return error.failure
    if isinstance(error, CallFailed):
        return error.call_failure
    if isinstance(error, ApplicationError):
        return Failure(step="", type=error.type or "ApplicationError", message=trim(str(error.message)))
    if isinstance(error, FailureError):
        return Failure(step="", type=type(error).__name__, message=text_of(error.cause or error))
    return Failure(step="", type=type(error).__name__, message=text_of(error))


def _small(cause: BaseException | None) -> BaseException | None:
    """Keeps the traceback of a bug; a failed call is in history with its own failure already."""
    return None if isinstance(cause, Failed | CallFailed) else carried(cause)
