"""Publishes an event from a task."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ...bundle.current_step import current_step
from ...runtime.publishing import EventRefused, publish_event
from ...saga.errors import NotApplied
from ...saga.events.publication import Publication
from ...saga.events.published_event import event_faults


async def publish(topic: str, payload: Any = None, key: str | None = None) -> Publication:
    """Publishes an event to the workers of this task's queue, which starts the tasks that wait for it.

    What it has started is not undone with this task.

    Args:
        topic: What has happened.
        payload: What is told of it.
        key: Which event of its topic it is; without one, the event of this call.
    """
    named = current_step().idempotency_key if key is None else key
    if faults := [str(fault) for fault in event_faults(topic, named)]:
        raise NotApplied("; ".join(faults))
    said = {} if payload is None else payload
    try:
        return await publish_event(
            activity.client(), topic, named, said, task_queue=activity.info().task_queue
        )
    except EventRefused as refusal:
        raise ApplicationError(str(refusal), type=refusal.type, non_retryable=True) from None
