"""For programs that start tasks: once per id, with typed boards, results and failures.

`TaskClient` takes an ordinary ``temporalio.client.Client``, and a `Task` has the ordinary handle beside
its typed methods. The command line is built on it.
"""

from .board import Answered, Asked, Board, Decided, Line, StepBoard, Undoing
from .errors import (
    IdInUse,
    NoAnswer,
    NoWorker,
    Refused,
    TaskCancelled,
    TaskEnded,
    TaskFailed,
    TaskRefused,
    TaskRollbackIncomplete,
    TaskRolledBack,
    UnknownTask,
)
from .outcome import Outcome
from .task import Task
from .task_client import TaskClient

__all__ = [
    "Answered",
    "Asked",
    "Board",
    "Decided",
    "IdInUse",
    "Line",
    "NoAnswer",
    "NoWorker",
    "Outcome",
    "Refused",
    "StepBoard",
    "Task",
    "TaskCancelled",
    "TaskClient",
    "TaskEnded",
    "TaskFailed",
    "TaskRefused",
    "TaskRollbackIncomplete",
    "TaskRolledBack",
    "Undoing",
    "UnknownTask",
]
