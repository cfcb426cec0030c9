"""Gives a task up whose name no worker knows: who has mistyped it does not want to wait."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from ...saga.errors import FailureType
from ...saga.failure import LeftToOthers

_UNKNOWN = LeftToOthers.__name__
_POLL_SECONDS: Final = 0.2


async def give_up_unknown(handle: WorkflowHandle[Any, Any]) -> ApplicationError | None:
    """Ends a task that a worker has left to others because it does not know its name.

    Nothing of it has run. If a program had started it, it would wait for ten minutes: a deployment that is
    still rolling may bring a worker that knows it.

    Args:
        handle: A task that has just been started.

    Returns:
        What the task would have ended with; None where a worker knows it, or where the server cannot tell:
        the task has ended at this moment, or the server is away, and who watches the task meets both.
    """
    try:
        return await _give_up(handle)
    except RPCError:
        return None


async def _give_up(handle: WorkflowHandle[Any, Any]) -> ApplicationError | None:
    while True:
        # Not one long poll: it can miss the event of a first attempt that fails while the second one begins.
        async for event in handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                return None
            failure = event.workflow_task_failed_event_attributes.failure
            if failure.application_failure_info.type == _UNKNOWN:
                await handle.terminate(failure.message)  # a cancel would wait for the next attempt
                return ApplicationError(failure.message, type=FailureType.UNKNOWN_TASK)
        await asyncio.sleep(_POLL_SECONDS)
