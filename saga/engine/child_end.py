"""The end of a workflow that a saga has started: handed over, or undone."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from ..calls.headers import PARENT, CallHeader
from ..children.child_spending import ChildSpending
from ..children.parent_budget import signal_parent
from ..errors import FailureType
from ..limits.budget import Budget
from ..limits.purse import Allotment
from ..limits.usage import Usage
from ..record.task_state import TaskState
from ..temporal.cancel_watch import CancelWatch
from ..temporal.task_marker import TASK_MARK
from .lifecycle import Lifecycle, failure_of
from .run_context import OPENED, RunContext

TOLD = frozenset({FailureType.ROLLED_BACK, FailureType.ROLLBACK_INCOMPLETE})
"""Failures that say what the task has spent."""


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


async def tell_spent(error: BaseException) -> None:
    """Tells the parent what a child has spent, where the child's end does not say so."""
    parent = PARENT.get()
    if parent is None or (parent.allotment is None and not _counts_without_budget()):
        return
    if isinstance(error, asyncio.CancelledError) and workflow.cancellation_reason() is None:
        return  # it is only evicted
    if _is_our_own() and isinstance(error, ApplicationError) and error.type in TOLD:
        return
    spent = _spent_here(earlier_runs_spent())
    if parent.allotment is None and spent == Usage():
        return
    spending = ChildSpending(child=workflow.info().workflow_id, spent=spent)
    with suppress(FailureError):  # the parent has ended
        await signal_parent(spending)


def _spent_here(earlier: Usage) -> Usage:
    """Returns what all sagas of the running workflow have spent, with what earlier runs have."""
    return Usage.of_all([earlier, *(context.record.spending.usage for context in OPENED.get() or [])])


def _counts_without_budget() -> bool:
    return any(context.engine >= 7 for context in OPENED.get() or [])


def earlier_runs_spent() -> Usage:
    """Returns what earlier runs of the running workflow have spent, where its records do not tell."""
    parent = PARENT.get()
    return Usage() if parent is None or parent.allotment is None else parent.allotment.spent


def continued_parent() -> CallHeader | None:
    """Returns what the next run of the running workflow has to know of its parent."""
    parent, opened = PARENT.get(), OPENED.get()
    if parent is None or not opened:
        return parent
    # A workflow of somebody's own carries no record of ours along.
    earlier = earlier_runs_spent()
    spent = earlier if _is_our_own() else _spent_here(earlier)
    purse = opened[0].parent_budget.purse
    if purse is None and (spent == earlier or not _counts_without_budget()):
        return parent
    most = Budget() if purse is None else purse.most
    return parent.model_copy(update={"allotment": Allotment(most=most, spent=spent)})


def _is_our_own() -> bool:
    return bool(getattr(type(workflow.instance()), TASK_MARK, False))
