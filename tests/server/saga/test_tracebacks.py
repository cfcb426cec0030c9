"""History has the traceback of what a user's code has raised, and none of our own code."""

from __future__ import annotations

from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep import Bundle, Effect, NotApplied
from counterstep.embedded import EmbeddedServer
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


async def test_a_failed_call_tells_where_the_users_code_has_raised(
    server: EmbeddedServer, task_queue: str
) -> None:
    assert "in look" in (await _failure_of(server, task_queue, "look")).stack_trace
    by_python = await _failure_of(server, task_queue, "count")
    assert "in count" in by_python.cause.stack_trace


async def test_an_answer_that_nothing_has_happened_has_no_traceback(
    server: EmbeddedServer, task_queue: str
) -> None:
    failure = await _failure_of(server, task_queue, "fill")
    assert failure.application_failure_info.type == "NotApplied"
    assert failure.message == "it is full"
    assert failure.stack_trace == ""


async def _failure_of(server: EmbeddedServer, task_queue: str, tool: str) -> Failure:
    """Returns how the call of a tool has failed, of a task whose own failure has no traceback."""
    client = await Client.connect(server.address, plugins=[stock_plugin([shelf], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        handle = await Tasks(client, task_queue).start(
            [{"id": "a", "tool": f"shelf.{tool}", "retry": {"attempts": 1}}]
        )
        end = await end_of(handle)
    assert end.error is not None and isinstance(end.error, ApplicationError)
    assert end.error.failure is not None
    assert end.error.failure.stack_trace == ""
    assert end.type == "SagaRolledBack"
    return await _failed_call(handle)


async def _failed_call(handle: WorkflowHandle[object, object]) -> Failure:
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            return event.activity_task_failed_event_attributes.failure
    raise AssertionError("no call has failed")
