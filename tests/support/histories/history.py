"""A workflow's history: what the server says of it, however slow the workers' machine is."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory

CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
TIMER_FIRED = EventType.EVENT_TYPE_TIMER_FIRED
CALL_SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
CALL_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
TURN_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TURN_FAILED = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED

_PAUSE = 0.03


async def events_of(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    """Reads the whole history."""
    return [event async for event in handle.fetch_history_events()]


async def until_event(
    handle: WorkflowHandle[Any, Any], *kinds: EventType.ValueType, seconds: float = 60
) -> None:
    """Waits until there are events of these kinds, in this order, in the history of the newest run."""
    missing: list[EventType.ValueType] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                missing = list(kinds)
                async for event in handle.fetch_history_events(wait_new_event=True):
                    if event.event_type == missing[0]:
                        missing.pop(0)
                    if not missing:
                        return
                await asyncio.sleep(_PAUSE)  # this run has ended; there may be another one
    except TimeoutError:
        names = [EventType.Name(kind) for kind in missing]
        raise AssertionError(f"{names} are missing in the history of {handle.id}") from None


async def until_heard(handle: WorkflowHandle[Any, Any]) -> None:
    """Waits until the workflow has run after a cancel."""
    await until_event(handle, CANCEL_REQUESTED, TURN_COMPLETED)


async def until_asleep(handle: WorkflowHandle[Any, Any]) -> None:
    """Waits until a workflow has started a timer."""
    await until_event(handle, TIMER_STARTED)


async def until_retry(handle: WorkflowHandle[Any, Any], seconds: float = 60) -> None:
    """Waits until an attempt of a call has failed, and another one is to come."""
    deadline = time.monotonic() + seconds
    while all(one.attempt == 1 for one in (await handle.describe()).raw_description.pending_activities):
        assert time.monotonic() < deadline, "no attempt has failed"
        await asyncio.sleep(_PAUSE)


async def idle(handle: WorkflowHandle[Any, Any], seconds: float = 60) -> None:
    """Waits until no call of a workflow is pending."""
    deadline = time.monotonic() + seconds
    while (await handle.describe()).raw_description.pending_activities:
        assert time.monotonic() < deadline, "calls are still pending"
        await asyncio.sleep(_PAUSE)


def seconds_to_undo(history: Sequence[HistoryEvent], path: str) -> float:
    """How long after the last start of a call its undo was scheduled, both by the server's clock.

    Args:
        history: The whole history.
        path: The path of the call; its round is the first.
    """
    scheduled = {
        event.activity_task_scheduled_event_attributes.activity_id: event
        for event in history
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    (started,) = (
        event
        for event in history
        if event.HasField("activity_task_started_event_attributes")
        and event.activity_task_started_event_attributes.scheduled_event_id == scheduled[f"{path}#1"].event_id
    )
    undo = scheduled[f"{path}/undo#1"].event_time.ToNanoseconds()
    return (undo - started.event_time.ToNanoseconds()) / 1e9


async def reset(client: Client, handle: WorkflowHandle[Any, Any], *, calls: int) -> WorkflowHandle[Any, Any]:
    """Resets the newest run of a workflow.

    Args:
        client: Connected.
        handle: The workflow.
        calls: How many calls have completed at the workflow task that is the first to run again.

    Returns:
        The new run.
    """
    run_id = (await client.get_workflow_handle(handle.id).describe()).run_id
    point = 0
    async for event in client.get_workflow_handle(handle.id, run_id=run_id).fetch_history_events():
        calls -= event.event_type == CALL_COMPLETED
        if calls <= 0 and event.event_type == TURN_COMPLETED:
            point = event.event_id
            break
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=run_id),
            reason="a test",
            request_id=run_id,
            workflow_task_finish_event_id=point,
        )
    )
    return client.get_workflow_handle(handle.id, run_id=answer.run_id)


def summaries_of(history: WorkflowHistory) -> list[str]:
    """Returns what the Web UI shows beside the activities of a history, in the order in which they began."""
    return [
        json.loads(event.user_metadata.summary.data)
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
        and event.user_metadata.HasField("summary")
    ]


def undos_in(history: Sequence[HistoryEvent]) -> set[str]:
    """Returns the keys of the undos that have ended well in a history."""
    keys: dict[int, str] = {}
    finished: set[str] = set()
    for event in history:
        scheduled = event.activity_task_scheduled_event_attributes
        if "/undo#" in scheduled.activity_id:
            keys[event.event_id] = str(json.loads(scheduled.header.fields["counterstep"].data)["key"])
        completed = event.activity_task_completed_event_attributes.scheduled_event_id
        finished |= {keys[completed]} if completed in keys else set()
    return finished


async def all_text_of(handle: WorkflowHandle[Any, Any]) -> str:
    """Returns all that a history says, with every payload decoded: what is not here, is not in it."""
    history = (await handle.fetch_history()).to_json_dict()
    return json.dumps(_decoded(history), ensure_ascii=False)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "metadata" in value and isinstance(value.get("data"), str):
        return base64.b64decode(value["data"]).decode(errors="replace").replace("\\", "")
    return {key: _decoded(item) for key, item in value.items()}
