"""The options of ``recover``, and the report that it prints."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from ...saga.record.task_state import TaskState
from ..exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class RecoverOptions:
    """Says what ``recover`` is to recover.

    Attributes:
        id: The task.
        run_id: One of its runs, or None for the newest.
        task_queue: A queue whose workers have the task's bundles; None for its own queue.
        not_applied: Whether a person knows that a pivot of unknown outcome was not applied.
        version: The version whose workers undo it, as ``DEPLOYMENT.BUILD``; None for the current one.
    """

    id: str
    run_id: str | None = None
    task_queue: str | None = None
    not_applied: bool = False
    version: str | None = None


class FoundEffect(BaseModel):
    """One effect that has been found.

    Attributes:
        id: The id of its call.
        step: The step.
        compensation: The compensation that undoes it.
        is_known: Whether it is known that the call happened.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    step: str
    compensation: str
    is_known: bool


class RecoveryReport(BaseModel):
    """What ``recover --json`` prints.

    Attributes:
        workflow_id: The task.
        run_id: The newest of its runs.
        recovery_id: The workflow that undoes it.
        state: The state of the recovery.
        found: The effects that were left, newest first.
        undone: The steps that it has undone, in the order in which their undos finished.
        not_undone: The steps that still lack an undo.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    run_id: str
    recovery_id: str
    state: TaskState
    found: tuple[FoundEffect, ...]
    undone: tuple[str, ...] = ()
    not_undone: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a command that has waited for the end."""
        if self.state is TaskState.COMPLETED:
            return ExitCode.COMPLETED
        ended = (TaskState.NEEDS_ATTENTION, TaskState.ROLLBACK_INCOMPLETE)
        return ExitCode.INCOMPLETE if self.state in ended else ExitCode.CANCELLED
