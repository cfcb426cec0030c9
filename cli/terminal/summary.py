"""Tells people how a task ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from temporalio.exceptions import ApplicationError

from ...client.outcome import Outcome, refusal_faults
from ...runtime.codec import PayloadUnreadable
from ...saga.errors import FailureType
from ...saga.record.task_state import TaskState
from ..arguments.shell_command import command_line
from ..exit_codes import ExitCode
from .forced_end import ended_how, recovery_line
from .live_board import failure_line, usage_line
from .output import emit, say

_CODES = {
    TaskState.COMPLETED: ExitCode.COMPLETED,
    TaskState.ROLLED_BACK: ExitCode.ROLLED_BACK,
    TaskState.ROLLBACK_INCOMPLETE: ExitCode.INCOMPLETE,
    TaskState.CANCELLED: ExitCode.CANCELLED,
    TaskState.WAITING: ExitCode.INCOMPLETE,
    TaskState.NEEDS_ATTENTION: ExitCode.INCOMPLETE,
}


def exit_code_of(outcome: Outcome) -> ExitCode:
    """Returns the exit code of a command.

    A task that was left running counts as interrupted, or as incomplete if it waits for a person.
    """
    if outcome.refused:
        return ExitCode.BAD_USAGE
    return _CODES.get(TaskState(outcome.state), ExitCode.CANCELLED) if outcome.state else ExitCode.BAD_USAGE


def finish(outcome: Outcome, end: Any, server: Sequence[str], *, json: bool) -> NoReturn:
    """Prints how a task ended and what it returned, and ends the command.

    Args:
        outcome: What is known about the task.
        end: The task's result or the error that ended it; None if it still runs.
        server: The options with which other commands reach the task's server.
        json: Whether to print the outcome as one JSON object.
    """
    if end is not None:
        print_summary(outcome, end, server)
    if json:
        emit(outcome.model_dump(mode="json"))
    elif outcome.state == "completed" and not isinstance(end, PayloadUnreadable):
        emit(outcome.output)
    raise typer.Exit(exit_code_of(outcome))


def print_summary(outcome: Outcome, end: Any, server: Sequence[str]) -> None:
    """Prints how a task ended.

    Args:
        outcome: What is known about the task.
        end: The task's result or the error that ended it.
        server: The options with which other commands reach the task's server.
    """
    if outcome.refused:
        faults = [str(fault) for fault in refusal_faults(end)]
        for line in faults or [(outcome.failure or {}).get("message", "")]:
            say(line)
        say("Refused by the worker; nothing was done.")
        return
    if isinstance(end, PayloadUnreadable):
        say(f"completed, but its output cannot be shown. {end}")
        return
    usage = f" ({usage_line(outcome.usage)})" if outcome.usage else ""
    say(f"{(outcome.state or '').replace('_', ' ')}{ended_how(outcome.forced_end)}{usage}")
    if outcome.failure is not None:
        say(f"because of {failure_line(outcome.failure)}")
    for step, why in outcome.degraded.items():
        say(f"{step} is degraded: {why}")
    if outcome.undone:
        say(f"undone: {', '.join(outcome.undone)}")
    left = _what_is_left(outcome, end, server)
    if left:
        say(left)


def _what_is_left(outcome: Outcome, end: Any, server: Sequence[str]) -> str:
    steps = ", ".join(outcome.not_undone)
    if outcome.recovery is not None:
        return recovery_line(outcome.recovery, outcome.workflow_id or "", outcome.not_undone, server)
    if outcome.state != TaskState.ROLLBACK_INCOMPLETE:
        return f"NOT undone: {steps}. See why, and undo it by hand." if steps else ""
    recover = command_line("recover", outcome.workflow_id or "", server=server)
    if _gave_up(end):
        return f"NOT undone: {steps}. See why, and undo it by hand, or once the cause is gone: {recover}"
    return f"NOT undone: {steps or 'whatever it has done'}. Undo it: {recover}"


def _gave_up(end: Any) -> bool:
    """Returns whether the task itself ended its rollback; a recovery does not undo what a person skipped."""
    return isinstance(end, ApplicationError) and end.type == FailureType.ROLLBACK_INCOMPLETE
