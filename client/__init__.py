"""For programs that start tasks: once per id, with typed boards, results and failures.

`TaskClient` takes an ordinary ``temporalio.client.Client``, and a `Task` has the ordinary handle beside
its typed methods. The command line is built on it.
"""

from ..runtime.publishing import EventRefused
from ..saga.events.publication import JoinAnswer, Publication, TaskStart
from .board import Answered, Asked, Board, Decided, Line, StepBoard, Undoing
from .errors import (
    IdInUse,
    NoAnswer,
    NotForkable,
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
from .forks.fork_task import fork_task
from .outcome import Outcome
from .task import Task
from .task_client import TaskClient

__all__ = [
    "Answered",
    "Asked",
    "Board",
    "Decided",
    "EventRefused",
    "IdInUse",
    "JoinAnswer",
    "Line",
    "NoAnswer",
    "NoWorker",
    "NotForkable",
    "Outcome",
    "Publication",
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
    "TaskStart",
    "Undoing",
    "UnknownTask",
    "fork_task",
]
