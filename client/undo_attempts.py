"""How often the undos of a task were tried, and why they last failed: the server knows, the task does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from temporalio.client import WorkflowHandle

from ..saga.ledger.call_id import CallId

MAX_EVENTS: Final = 20_000
"""A longer history is not read only to count attempts."""


async def with_running_attempts(
    handle: WorkflowHandle[Any, Any], board: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Adds to a board how the undos that run now get on; a task without any is not asked about.

    Args:
        handle: The handle of the task.
        board: Its board.

    Returns:
        The board, in which the undos that run have ``tries``, and the ``error`` of the last one if it failed.

    Raises:
        RPCError: The server does not answer.
    """
    if not any(entry["state"] == "undoing" for entry in board.get("ledger", ())):
        return board
    tries, errors = Counter[str](), dict[str, str]()
    for pending in (await handle.describe()).raw_description.pending_activities:
        tries[pending.activity_id] = pending.attempt
        if pending.HasField("last_failure"):
            errors[pending.activity_id] = pending.last_failure.message
    return _with(board, tries, errors)


async def with_all_attempts(handle: WorkflowHandle[Any, Any], board: Mapping[str, Any]) -> Mapping[str, Any]:
    """Adds to a board how often each undo was tried in all, from the history of the task's last run.

    Args:
        handle: The handle of the task.
        board: Its board, from `with_running_attempts`.

    Returns:
        The board, in which the undos have ``tries``, and the ``error`` of the last one that failed. The
        history is read only if something is or was undone, and if it is not very long.

    Raises:
        RPCError: The server does not answer.
    """
    begun = {undo_of(entry["id"]) for entry in board.get("ledger", ()) if entry["attempts"]}
    if not begun or (await handle.describe()).history_length > MAX_EVENTS:
        return board
    ids: dict[int, str] = {}
    tries, errors = Counter[str](), dict[str, str]()
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes.activity_id
        if scheduled in begun:
            ids[event.event_id] = scheduled
            continue
        # Only the attempt that ended an activity is in the history; it has its number.
        started = event.activity_task_started_event_attributes
        failed = event.activity_task_failed_event_attributes
        if started.scheduled_event_id in ids:
            id_ = ids[started.scheduled_event_id]
            tries[id_] += started.attempt
            if started.HasField("last_failure"):
                errors[id_] = started.last_failure.message
        elif failed.scheduled_event_id in ids:
            errors[ids[failed.scheduled_event_id]] = failed.failure.message
    running = {undo_of(entry["id"]): entry.get("tries", 0) for entry in board["ledger"]}
    for id_, number in running.items():
        tries[id_] += number
    return _with(board, tries, errors)


def undo_of(entry_id: str) -> str:
    """Returns the activity id of the undo of an entry."""
    return str(CallId.parse(entry_id).undo)


def _with(board: Mapping[str, Any], tries: Mapping[str, int], errors: Mapping[str, str]) -> Mapping[str, Any]:
    ledger = []
    for entry in board["ledger"]:
        known = tries.get(undo_of(entry["id"]), 0)
        if known:
            error = entry["error"] or errors.get(undo_of(entry["id"]))
            entry = {**entry, "tries": known, "error": error}
        ledger.append(entry)
    return {**board, "ledger": ledger}
