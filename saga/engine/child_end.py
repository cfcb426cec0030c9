"""The end of a workflow that a saga has started: handed over, or undone."""

from __future__ import annotations

import asyncio

from temporalio import workflow

from ..record.task_state import TaskState
from ..temporal.cancel_watch import CancelWatch
from .lifecycle import Lifecycle, failure_of
from .run_context import OPENED, RunContext


async def undo_completed(error: BaseException) -> BaseException:
    """Undoes the sagas of a child that had completed before the child failed.

    To anybody else what a completed saga did is to stay. To the saga of the parent the child is one step,
    and the step has failed.

    Args:
        error: How the child ends.

    Returns:
        What it is to raise: the same, or how the undo has ended.
    """
    if isinstance(error, asyncio.CancelledError) and workflow.cancellation_reason() is None:
        return error  # it is only evicted
    for context in reversed(OPENED.get() or []):
        if (
            context.record.state is TaskState.COMPLETED
            and context.record.ledger.remaining()
            and not context.record.committed
        ):
            error = await CancelWatch().outlast(_undo(context, error), lambda: None)
    return error


async def _undo(context: RunContext, error: BaseException) -> BaseException:
    life = Lifecycle(context)
    await life.undo(failure_of(error))
    cancelled = isinstance(error, asyncio.CancelledError)
    return life.ended(cancelled=cancelled, cause=error)
