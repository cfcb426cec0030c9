"""Whether a worker has ever begun a task."""

from __future__ import annotations

from typing import Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

_FIRST_EVENTS: Final = 20


async def has_begun(client: Client, workflow_id: str, run_id: str) -> bool:
    """Says whether a worker has ever ended a workflow task of a task; before that nothing of it has run.

    Args:
        client: A connected client.
        workflow_id: The task.
        run_id: One of its runs.

    Raises:
        RPCError: The server does not answer, or does not know the run.
    """
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    # It is among the first events; of a task that no worker knows there are few others.
    async for event in handle.fetch_history_events(page_size=_FIRST_EVENTS):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            return True
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            started = event.workflow_execution_started_event_attributes
            if started.continued_execution_run_id or started.original_execution_run_id != run_id:
                return True  # it continues a run, or stands in its place after a reset
    return False
