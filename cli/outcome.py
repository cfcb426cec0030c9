"""What the end of a task means to a command."""

from __future__ import annotations

from ..client.outcome import REFUSALS, Outcome
from ..saga.task_state import TaskState
from .failure import ExitCode

_CODES = {
    TaskState.COMPLETED: ExitCode.COMPLETED,
    TaskState.ROLLED_BACK: ExitCode.ROLLED_BACK,
    TaskState.ROLLBACK_INCOMPLETE: ExitCode.INCOMPLETE,
    TaskState.CANCELLED: ExitCode.CANCELLED,
    TaskState.WAITING: ExitCode.INCOMPLETE,
    TaskState.NEEDS_ATTENTION: ExitCode.INCOMPLETE,
}


def exit_code_of(outcome: Outcome) -> ExitCode:
    """What a command exits with; a task that was left running counts as interrupted.

    Where it waits for a person, it is incomplete.
    """
    if outcome.failure is not None and outcome.failure["type"] in REFUSALS:
        return ExitCode.BAD_USAGE
    return _CODES.get(TaskState(outcome.state), ExitCode.CANCELLED) if outcome.state else ExitCode.BAD_USAGE
