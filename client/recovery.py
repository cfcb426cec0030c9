"""Finds the recovery of a task that has ended with something left to undo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.service import RPCError, RPCStatusCode

from ..saga.record.search_attributes import SAGA_STATE
from ..saga.record.task_state import TaskState
from ..saga.recovery.recovery_id import RecoveryId
from .outcome import Outcome, end_of, outcome_of

# A history that holds only these belongs to a task that has not called anything.
_IDLE: Final = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        EventType.EVENT_TYPE_MARKER_RECORDED,  # of a local call, which changes nothing
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
    }
)


async def with_recovery(client: Client, outcome: Outcome) -> Outcome:
    """Adds the recovery of a task to its outcome, if there is one.

    Args:
        client: A connected client.
        outcome: The outcome of a task that has ended.

    Returns:
        The outcome with its `recovery`.

    Raises:
        RPCError: The server does not answer.
    """
    if outcome.workflow_id is None or outcome.state != TaskState.ROLLBACK_INCOMPLETE:
        return outcome
    found = await recovery_of(client, outcome.workflow_id)
    return outcome if found is None else outcome.model_copy(update={"recovery": found})


async def board_with_recovery(client: Client, board: Mapping[str, Any]) -> Mapping[str, Any]:
    """Adds the recovery of a task to its board, as `with_recovery` does to its outcome."""
    if board["state"] != TaskState.ROLLBACK_INCOMPLETE:
        return board
    found = await recovery_of(client, board["task_id"])
    return board if found is None else {**board, "recovery": found}


async def recovery_of(client: Client, id: str, run_id: str | None = None) -> dict[str, Any] | None:
    """Finds the recovery of a task.

    Args:
        client: A connected client.
        id: The task.
        run_id: The newest run of its chain; None to find that too.

    Returns:
        ``workflow_id`` and ``state`` of the recovery, and the steps that it has ``undone`` where that can be
        read; None if nobody has started one.

    Raises:
        RPCError: The server does not answer.
    """
    if run_id is None:
        task = await _describe(client, id)
        if task is None:
            return None
        run_id = task.run_id
    found = await _describe(client, str(RecoveryId(id, run_id)))
    if found is None:
        return None
    return {"workflow_id": found.id, "state": _state(found), "undone": await _undone(client, found)}


async def has_begun_nothing(handle: WorkflowHandle[Any, Any]) -> bool:
    """Returns whether a task ended before it had called anything, so that there was nothing to undo.

    Args:
        handle: The handle of the task.

    Raises:
        RPCError: The server does not answer.
    """
    async for event in handle.fetch_history_events():
        started = event.workflow_execution_started_event_attributes
        if event.event_type not in _IDLE or started.continued_execution_run_id:
            return False
    return True


async def _describe(client: Client, id: str) -> WorkflowExecutionDescription | None:
    try:
        return await client.get_workflow_handle(id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _undone(client: Client, recovery: WorkflowExecutionDescription) -> list[str]:
    """Returns what a recovery has undone, once it has ended; nothing where that cannot be read here."""
    if recovery.status is WorkflowExecutionStatus.RUNNING:
        return []
    end = await end_of(client.get_workflow_handle(recovery.id))
    if isinstance(end, BaseException):
        return list(outcome_of(end, None, (recovery.id, recovery.run_id)).undone)
    return list(end.get("undone", ())) if isinstance(end, Mapping) else []


def _state(recovery: WorkflowExecutionDescription) -> str:
    if recovery.status is WorkflowExecutionStatus.RUNNING:
        return recovery.typed_search_attributes.get(SAGA_STATE) or TaskState.RUNNING.value
    done = recovery.status is WorkflowExecutionStatus.COMPLETED
    return (TaskState.COMPLETED if done else TaskState.ROLLBACK_INCOMPLETE).value
