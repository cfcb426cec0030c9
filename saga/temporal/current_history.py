"""The history of the running workflow."""

from __future__ import annotations

from temporalio import workflow

from ..limits.history_size import HistorySize


def current_history_size() -> HistorySize:
    """Measures the history of the running workflow, up to the current workflow task."""
    info = workflow.info()
    return HistorySize(
        events=info.get_current_history_length(),
        bytes=info.get_current_history_size(),
        server_suggests_new=info.is_continue_as_new_suggested(),
    )
