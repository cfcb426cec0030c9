"""Whether a task has begun."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ..saga.history_format import HEADER
from ..saga.record.search_attributes import SAGA_STATE


async def has_begun(client: Client, workflow_id: str, run_id: str) -> bool:
    """Says whether a task has called anything, or written its state; before that nothing of it has run.

    Args:
        client: A connected client.
        workflow_id: The task.
        run_id: One of its runs; of one whose history is gone nothing is left.

    Raises:
        RPCError: The server does not answer.
    """
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        async for event in handle.fetch_history_events(page_size=20):
            kind = event.WhichOneof("attributes")
            if kind is not None and _is_trace(kind, getattr(event, kind), run_id):
                return True
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    return False


def _is_trace(kind: str, attributes: Any, run_id: str) -> bool:
    match kind:
        case "workflow_execution_started_event_attributes":
            # It continues a run, or stands in its place after a reset.
            return bool(
                attributes.continued_execution_run_id or attributes.original_execution_run_id != run_id
            )
        case "upsert_workflow_search_attributes_event_attributes":
            return SAGA_STATE.name in attributes.search_attributes.indexed_fields
        case (
            "activity_task_scheduled_event_attributes"
            | "start_child_workflow_execution_initiated_event_attributes"
        ):
            return HEADER in attributes.header.fields
    return False
