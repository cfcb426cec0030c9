"""After which failures nobody in a task can go on."""

from __future__ import annotations

from ..errors import NO_WAY_ON, FailureType
from ..failure import Failed
from .task_record import TaskRecord


def is_no_way_on(record: TaskRecord, failed: Failed, path: str) -> bool:
    """Says whether whoever would go on after a failure cannot either.

    Args:
        record: The task's record.
        failed: The failure.
        path: Where it would go on; of a budget that only somebody inside of that has, it says nothing.
    """
    if failed.failure.type == FailureType.BUDGET_EXCEEDED and record.spending.has_parts:
        return record.spending.is_used_up(path)
    return failed.failure.type in NO_WAY_ON
