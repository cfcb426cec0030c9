"""Finds the recovery of a task that has ended with something left to undo."""

from __future__ import annotations

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
from .outcome import Outcome

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
    id_ = outcome.workflow_id
    if id_ is None or outcome.state != TaskState.ROLLBACK_INCOMPLETE:
        return outcome
    task = await _describe(client, id_)
    found = await _describe(client, str(RecoveryId(id_, task.run_id))) if task else None
    if found is None:
        return outcome
    return outcome.model_copy(update={"recovery": {"workflow_id": found.id, "state": _state(found)}})


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


def _state(recovery: WorkflowExecutionDescription) -> str:
    if recovery.status is WorkflowExecutionStatus.RUNNING:
        return recovery.typed_search_attributes.get(SAGA_STATE) or TaskState.RUNNING.value
    done = recovery.status is WorkflowExecutionStatus.COMPLETED
    return (TaskState.COMPLETED if done else TaskState.ROLLBACK_INCOMPLETE).value
