"""Queries, updates and signals of a task; those that a user's own workflow serves already stay the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import workflow


def serve_query(name: str, handler: Callable[..., Any]) -> None:
    """Serves a query from now on, unless the workflow does so itself."""
    if _is_free(workflow.get_query_handler(name)):
        workflow.set_query_handler(name, handler)


def serve_update(name: str, handler: Callable[..., Any], validator: Callable[..., None]) -> None:
    """Serves an update from now on, unless the workflow does so itself."""
    if _is_free(workflow.get_update_handler(name)):
        workflow.set_update_handler(name, handler, validator=validator)


def serve_signal(name: str, handler: Callable[..., Any]) -> None:
    """Serves a signal from now on, unless the workflow does so itself."""
    if _is_free(workflow.get_signal_handler(name)):
        workflow.set_signal_handler(name, handler)


def _is_free(existing: Callable[..., Any] | None) -> bool:
    """True where nobody serves it, or an earlier saga of the same workflow."""
    return existing is None or existing.__module__.startswith(f"{__package__}.")
