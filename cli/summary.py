"""How a task ended, for people."""

from __future__ import annotations

from typing import Any, NoReturn

import typer

from ..client.outcome import Outcome, refusal_faults
from .outcome import exit_code_of
from .output import emit, say
from .view import failure_line, usage_line


def finish(outcome: Outcome, end: Any, *, json: bool) -> NoReturn:
    """Prints the end of a task, and what it has returned as data, and ends the command.

    Args:
        outcome: What is known.
        end: The error that ended it, or its result; None where it goes on.
        json: Print the outcome as one object.
    """
    if end is not None:
        print_summary(outcome, end)
    if json:
        emit(outcome.model_dump(mode="json"))
    elif outcome.state == "completed":
        emit(outcome.output)
    raise typer.Exit(exit_code_of(outcome))


def print_summary(outcome: Outcome, end: Any) -> None:
    """Prints the end of a task.

    Args:
        outcome: What is known.
        end: The error that ended it, or its result.
    """
    faults = refusal_faults(end)
    if faults:
        for fault in faults:
            say(str(fault))
        say("Refused by the worker; nothing was done.")
        return
    usage = f" ({usage_line(outcome.usage)})" if outcome.usage else ""
    say(f"{(outcome.state or '').replace('_', ' ')}{usage}")
    if outcome.failure is not None:
        say(f"because of {failure_line(outcome.failure)}")
    if outcome.undone:
        say(f"undone: {', '.join(outcome.undone)}")
    if outcome.not_undone:
        say(f"NOT undone: {', '.join(outcome.not_undone)}. See why, and undo it by hand.")
