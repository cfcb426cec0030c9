"""Finds a task and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle

from ...client.board import LAST_SECONDS, standing_board
from ...client.outcome import end_of, outcome_of
from ...client.updates import find_task
from ...runtime.codec import PayloadUnreadable
from ...runtime.connection import has_workers
from ...saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from ...saga.record.task_state import TaskState
from ..arguments.server_target import ServerTarget
from ..terminal.questions import PEOPLE


async def look_up(target: ServerTarget, id: str) -> tuple[Mapping[str, Any], str]:
    """Asks for a task's board.

    Returns:
        The board, and a note if it does not come from a worker.

    Raises:
        UnknownTask: There is no such task.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    handle, found = await find_task(client, id)
    if await has_workers(client, found.task_queue):
        try:
            board = await standing_board(handle, LAST_SECONDS)
        except PayloadUnreadable as unread:
            note = f"The board cannot be shown. {str(unread).rstrip('.')}"
            return await _without_workers(handle, found), f"{note}; this is what the server knows."
        if board is not None:
            return board, ""
        note = f"The workers of the queue {found.task_queue!r} do not answer"
    else:
        note = f"No worker polls the queue {found.task_queue!r}"
    board = await _without_workers(handle, found)
    note += "; this is what the server knows."
    if board["state"] in PEOPLE:
        note += f" What it waits for, a worker would tell: {target.worker_command(found.task_queue)}"
    return board, note


async def _without_workers(
    handle: WorkflowHandle[Any, Any], found: WorkflowExecutionDescription
) -> Mapping[str, Any]:
    """Returns a board with the little that is known without a worker; `steps` and `ledger` are empty."""
    attributes = found.typed_search_attributes
    board: dict[str, Any] = {
        "task": attributes.get(SAGA_TASK) or found.workflow_type,
        "task_id": found.id,
        "state": attributes.get(SAGA_STATE) or TaskState.RUNNING.value,
        "goal": "",
        "steps": {},
        "ledger": [],
        "usage": None,
        "budget": None,
        "waiting_for": None,
        "failure": None,
        "log": [],
    }
    if found.status is WorkflowExecutionStatus.RUNNING:
        return board
    outcome = outcome_of(await end_of(handle), None, (found.id, found.run_id))
    kept = outcome.model_dump(
        mode="json", include={"state", "failure", "usage", "output", "undone", "not_undone"}
    )
    return {**board, **kept}
