"""The state of a task as a whole."""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """The state of a task, as the board and the search attribute ``SagaState`` show it."""

    RUNNING = "running"
    WAITING = "waiting"
    COMPENSATING = "compensating"
    NEEDS_ATTENTION = "needs_attention"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"


ENDED = frozenset(
    {TaskState.COMPLETED, TaskState.ROLLED_BACK, TaskState.CANCELLED, TaskState.ROLLBACK_INCOMPLETE}
)
