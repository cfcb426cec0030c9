"""How a task ended, for people."""

from __future__ import annotations

from typing import Any

from ..client.outcome import Outcome, refusal_faults
from .output import say
from .view import failure_line, usage_line


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
