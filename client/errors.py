"""What a client of a task may have to hear.

The tree::

    CounterstepError
    ├── IdInUse                     the id belongs to something else
    ├── UnknownTask                 nobody has started the id
    ├── NoWorker                    nobody works on the task's queue
    │   └── NoAnswer                somebody may, but has not answered in time
    ├── Refused                     the task refuses a decision, with its reason
    ├── TaskEnded                   the task has ended, and takes no decision any more
    └── TaskFailed                  raised for the end of a task, with its outcome
        ├── TaskRefused             it never began: the task, its spec or its input has faults
        ├── TaskRolledBack          everything that it did is undone
        ├── TaskCancelled           the same, because somebody cancelled it
        └── TaskRollbackIncomplete  something that it did may still stand
"""

from __future__ import annotations

from collections.abc import Sequence

from ..saga.errors import CounterstepError, Fault
from ..saga.record.task_state import TaskState
from .outcome import REFUSALS, Outcome


class IdInUse(CounterstepError):
    """The id belongs to another task, or to the same one with another input."""


class UnknownTask(CounterstepError):
    """Nobody has started the id, or the server has forgotten it."""


class NoWorker(CounterstepError):
    """Nobody works on the task's queue, so nothing was sent.

    Attributes:
        task_queue: The queue.
    """

    def __init__(self, message: str, task_queue: str) -> None:
        """Args: message: one sentence."""
        super().__init__(message)
        self.task_queue = task_queue


class NoAnswer(NoWorker):
    """The workers have not answered in time.

    Attributes:
        accepted: Whether the task has accepted what was sent, so that it is kept.
    """

    def __init__(self, message: str, task_queue: str, *, accepted: bool = False) -> None:
        """Args: message: one sentence."""
        super().__init__(message, task_queue)
        self.accepted = accepted


class Refused(CounterstepError):
    """The task refuses a decision; nothing of it is in the history.

    Attributes:
        type: The kind of refusal.
    """

    def __init__(self, message: str, type: str) -> None:
        """Args: message: one sentence."""
        super().__init__(message)
        self.type = type


class TaskEnded(CounterstepError):
    """The task has ended, and takes no decision any more."""


class TaskFailed(CounterstepError):
    """A task has ended otherwise than completed.

    Attributes:
        outcome: How it ended: the first failure, what was undone, and what was not.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Args: outcome: as the attribute."""
        failure = outcome.failure or {"step": "", "type": "", "message": "nobody knows why"}
        where = f"step {failure['step']!r}: " if failure["step"] else ""
        state = (outcome.state or "").replace("_", " ")
        super().__init__(f"{outcome.workflow_id} {state}: {where}{failure['type']}: {failure['message']}")
        self.outcome = outcome


class TaskRefused(TaskFailed):
    """The workers did not begin the task.

    Attributes:
        faults: All faults of the task, its spec or its input.
    """

    def __init__(self, outcome: Outcome, faults: Sequence[Fault]) -> None:
        """Args: as the attributes."""
        super().__init__(outcome)
        self.faults = tuple(faults)


class TaskRolledBack(TaskFailed):
    """Something failed, and everything that the task did is undone."""


class TaskCancelled(TaskFailed):
    """Somebody cancelled the task, and everything that it did is undone."""


class TaskRollbackIncomplete(TaskFailed):
    """Something that the task did may still stand: an undo was given up, or the task was ended by force."""


def failure_for(outcome: Outcome, faults: Sequence[Fault]) -> TaskFailed:
    """Returns the exception for an end other than completed.

    Args:
        outcome: The end.
        faults: For which the workers refused it, if they did.
    """
    if outcome.failure is not None and outcome.failure["type"] in REFUSALS:
        return TaskRefused(outcome, faults)
    match outcome.state:
        case TaskState.ROLLED_BACK:
            return TaskRolledBack(outcome)
        case TaskState.CANCELLED:
            return TaskCancelled(outcome)
        case _:
            return TaskRollbackIncomplete(outcome)
