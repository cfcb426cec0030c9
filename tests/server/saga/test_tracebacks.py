"""History has the traceback of what a user's code has raised, and none of our own code."""

from __future__ import annotations

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep import Bundle, Effect, NotApplied
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.histories.history import events_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.worker import stock_plugin

shelf = Bundle("shelf")


@shelf.tool(effect=Effect.READ_ONLY)
async def look() -> None:
    """Fails in the way of Temporal."""
    raise ApplicationError("the shelf has fallen down", type="Fallen", non_retryable=True)


@shelf.tool(effect=Effect.READ_ONLY)
async def count() -> int:
    """Fails in the way of Python."""
    return 1 // 0


@shelf.tool(effect=Effect.RETRIABLE)
async def fill() -> None:
    """Answers that nothing has happened."""
    raise NotApplied("it is full")


async def test_who_has_raised_is_told_of_users_code_alone(server: EmbeddedServer, task_queue: str) -> None:
    client = await Client.connect(server.address, plugins=[stock_plugin([shelf], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        tried = {"retry": {"attempts": 1}, "on_failure": "skip"}
        handle = await Tasks(client, task_queue).start(
            [
                {"id": "a", "tool": "shelf.look", **tried},
                {"id": "b", "needs": ["a"], "tool": "shelf.count", **tried},
                {"id": "c", "needs": ["b"], "tool": "shelf.fill"},
            ]
        )
        end = await end_of(handle)
        looked, counted, filled = await _failed_calls(handle)
    assert "in look" in looked.stack_trace
    assert "in count" in counted.cause.stack_trace
    assert (filled.application_failure_info.type, filled.message) == ("NotApplied", "it is full")
    assert filled.stack_trace == ""
    assert end.type == "SagaRolledBack" and end.error is not None and end.error.failure is not None
    assert end.error.failure.stack_trace == "", "nobody needs to know where our own code found it"


async def _failed_calls(handle: WorkflowHandle[Any, Any]) -> list[Failure]:
    return [
        event.activity_task_failed_event_attributes.failure
        for event in await events_of(handle)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED
    ]
