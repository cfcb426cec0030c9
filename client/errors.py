"""The exceptions that a client of tasks has to expect.

Their hierarchy::

    CounterstepError
    ├── IdInUse                     the id belongs to something else
    ├── UnknownTask                 nobody has started the id
    ├── NoWorker                    no worker serves the task's queue
    │   └── NoAnswer                a worker may, but it has not answered in time
    ├── Refused                     the task refuses a decision and gives its reason
    ├── NotForkable                 no task can be forked there, and why
    ├── EventRefused                the workers do not take an event, and give the reason
    ├── TaskEnded                   the task has ended and takes no more decisions
    └── TaskFailed                  the task did not complete; holds its outcome
        ├── TaskRefused             it never began: the task, its spec or its input has faults
        ├── TaskRolledBack          everything that it did is undone
        ├── TaskCancelled           the same, because somebody cancelled it
        └── TaskRollbackIncomplete  something that it did may still stand
"""

from __future__ import annotations

from collections.abc import Sequence

from ..saga.errors import CounterstepError, Fault
from ..saga.record.task_state import TaskState
from .outcome import Outcome


class IdInUse(CounterstepError):
    """The id belongs to another task, or to the same one with another input."""


class UnknownTask(CounterstepError):
    """No task was started under this id, or the server has deleted it since."""


class NoWorker(CounterstepError):
    """No worker serves the task's queue, so nothing was sent.

    Attributes:
        task_queue: The queue.
    """

    def __init__(self, message: str, task_queue: str) -> None:
        """Describes a queue without workers.

        Args:
            message: One sentence for people.
            task_queue: The queue.
        """
        super().__init__(message)
        self.task_queue = task_queue


class NoAnswer(NoWorker):
    """The workers have not answered in time.

    Attributes:
        accepted: Whether the task has accepted what was sent, so that it is kept.
    """

    def __init__(self, message: str, task_queue: str, *, accepted: bool = False) -> None:
        """Describes an answer that has not come.

        Args:
            message: One sentence for people.
            task_queue: The queue of the task.
            accepted: Whether the task has accepted what was sent.
        """
        super().__init__(message, task_queue)
        self.accepted = accepted


class Refused(CounterstepError):
    """The task has refused a decision, and its history does not mention it.

    Attributes:
        type: The kind of refusal.
    """

    def __init__(self, message: str, type: str) -> None:
        """Describes a refusal.

        Args:
            message: The reason, in one sentence.
            type: The kind of refusal.
        """
        super().__init__(message)
        self.type = type


class NotForkable(CounterstepError):
    """No other task can be started from where a task was, e.g. because it was never there."""


class TaskEnded(CounterstepError):
    """The task has ended and takes no more decisions."""


class TaskFailed(CounterstepError):
    """A task has ended, and it did not complete.

    Attributes:
        outcome: How it ended: the first failure, what was undone, and what was not.
    """

    def __init__(self, outcome: Outcome) -> None:
        """Makes the message from the outcome.

        Args:
            outcome: How the task ended.
        """
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
        """Makes the message from the outcome.

        Args:
            outcome: How the task ended.
            faults: All faults of the task, its spec or its input.
        """
        super().__init__(outcome)
        self.faults = tuple(faults)


class TaskRolledBack(TaskFailed):
    """Something failed, and everything that the task did has been undone."""


class TaskCancelled(TaskFailed):
    """Somebody cancelled the task, and everything that it did has been undone."""


class TaskRollbackIncomplete(TaskFailed):
    """Something that the task did may still stand: an undo was given up, or the task was ended by force."""


def failure_for(outcome: Outcome, faults: Sequence[Fault]) -> TaskFailed:
    """Returns the exception for a task that did not complete.

    Args:
        outcome: How the task ended.
        faults: The faults for which the workers refused it; empty if they did not.
    """
    if outcome.refused:
        return TaskRefused(outcome, faults)
    match outcome.state:
        case TaskState.ROLLED_BACK:
            return TaskRolledBack(outcome)
        case TaskState.CANCELLED:
            return TaskCancelled(outcome)
        case _:
            return TaskRollbackIncomplete(outcome)
