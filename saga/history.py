"""How long the history of the running workflow has become."""

from __future__ import annotations

from temporalio import workflow

LONG_EVENTS = 20_000
LONG_BYTES = 20_000_000
"""From here on a task continues as new even if that means to wait for people first."""

FULL_EVENTS = 40_000
FULL_BYTES = 40_000_000
"""From here on nothing new is called: the server ends a workflow by force at 51,200 events or 50 MB, and the
undos of what was called have to fit in before that. An undo takes no more events than its call."""


def is_long(*, waiting: bool) -> bool:
    """Says whether the workflow should continue as new at its next opportunity.

    Args:
        waiting: Whether it waits for a person; it cannot continue before the answer, so that this alone is
            no reason to hold up what goes on beside it.
    """
    info = workflow.info()
    if info.get_current_history_length() > LONG_EVENTS or info.get_current_history_size() > LONG_BYTES:
        return True
    return info.is_continue_as_new_suggested() and not waiting


def is_full() -> bool:
    """Says whether there is room left for undos only."""
    info = workflow.info()
    return info.get_current_history_length() > FULL_EVENTS or info.get_current_history_size() > FULL_BYTES
