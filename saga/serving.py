"""Queries, updates and signals of a task; those that a user's own workflow serves already stay the user's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
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


async def settle() -> None:
    """Lets an update act in a workflow task of its own, not in the one that has brought it.

    Live, the server may hand over an update together with workflow tasks before it that had nothing to send;
    a replay takes them one by one. What an update starts must not depend on which of the two it is (seen with
    SDK 1.35: non-determinism after a worker's restart).
    """
    await workflow.sleep(timedelta(milliseconds=1), summary="takes what a person has said")


def serve_signal(name: str, handler: Callable[..., Any]) -> None:
    """Serves a signal from now on, unless the workflow does so itself."""
    if _is_free(workflow.get_signal_handler(name)):
        workflow.set_signal_handler(name, handler)


def _is_free(existing: Callable[..., Any] | None) -> bool:
    """True where nobody serves it, or an earlier saga of the same workflow."""
    return existing is None or existing.__module__.startswith(f"{__package__}.")
