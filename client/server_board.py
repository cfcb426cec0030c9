"""The part of a board that the server knows, for tasks that no worker tells of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHandle

from ..saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from ..saga.record.task_state import TaskState
from .board import OF_THE_END
from .outcome import end_of, outcome_of


async def server_board(
    handle: WorkflowHandle[Any, Any], found: WorkflowExecutionDescription, why: str
) -> Mapping[str, Any]:
    """Returns the part of a board that the server knows without a worker.

    Args:
        handle: The handle of the task.
        found: The server's description of the task.
        why: Why no worker has told the board.

    Returns:
        A board that says of itself that it is partial.

    Raises:
        RPCError: The server does not answer.
    """
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
        "partial": True,
        "partial_because": why,
    }
    if found.status is WorkflowExecutionStatus.RUNNING:
        return board
    outcome = outcome_of(await end_of(handle), None, (found.id, found.run_id))
    return {**board, **outcome.model_dump(mode="json", include={*OF_THE_END, "usage", "output"})}
