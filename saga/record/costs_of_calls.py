"""What calls have cost, in the record of a task."""

from __future__ import annotations

from ..limits.usage import CallUsage, Usage
from .task_record import TaskRecord


def count_model_call(record: TaskRecord, step_id: str, path: str, model: str, cost: CallUsage) -> None:
    """Adds what one call of a model has cost, and says so where nobody knows its price.

    Args:
        record: The task's record.
        step_id: The step that it belongs to; empty for none.
        path: Where it was made.
        model: Who was asked.
        cost: What that has cost.
    """
    if cost.usd is None and not record.spending.usage.unpriced_calls:
        record.log.add("counterstep", f"no price is known for {model}; its calls are not in the sum", step_id)
    record.absorb_usage(step_id, path, cost.of_model(model))


def count_calls(record: TaskRecord, step_id: str, path: str, calls: Usage) -> None:
    """Counts a tool call or a handoff at a path, which is about to be made.

    Args:
        record: The task's record.
        step_id: The step that it belongs to.
        path: Where it is made.
        calls: What it counts as.

    Raises:
        Failed: The budgets do not allow it (type ``BudgetExceeded``).
    """
    record.spending.release(record.reserve(step_id, path, calls))
    record.spending.add(calls, path)
