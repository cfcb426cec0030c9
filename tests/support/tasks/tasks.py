"""Starts tasks from specs that a test writes down, and reads how they ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError


@dataclass(frozen=True)
class End:
    """How a task ended.

    Attributes:
        type: ``completed``, ``cancelled``, or the type of the application error.
        output: The output of a completed task.
        details: The details of a failed one: failure, undone, not_undone, usage.
        message: The message of a failed one.
        error: The error itself.
    """

    type: str
    output: Any
    details: Mapping[str, Any]
    message: str
    error: ApplicationError | None = None

    @property
    def failure(self) -> Mapping[str, Any]:
        failure: Mapping[str, Any] = self.details["failure"]
        return failure


class Tasks:
    """Runs tasks of the bundle `desk`."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self.client = client
        self.task_queue = task_queue

    async def start(
        self, steps: Sequence[Mapping[str, Any]], input: Any = None, **spec: Any
    ) -> WorkflowHandle[Any, Any]:
        """Starts a task of these steps; `spec` are its other keys."""
        document = {"name": "test", "steps": list(steps), **spec}
        return await self.start_workflow("AgentTask", {"spec": document, "input": input or {}})

    async def start_workflow(self, workflow: str, *args: Any) -> WorkflowHandle[Any, Any]:
        """Starts any workflow on this test's queue."""
        return await self.client.start_workflow(
            workflow, args=args, id=f"test-{uuid4()}", task_queue=self.task_queue
        )

    async def run(self, steps: Sequence[Mapping[str, Any]], input: Any = None, **spec: Any) -> End:
        """Runs a task to its end."""
        return await end_of(await self.start(steps, input, **spec))


async def end_of(handle: WorkflowHandle[Any, Any]) -> End:
    """Waits for the end of a task."""
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        if isinstance(error.cause, CancelledError):
            return End("cancelled", None, {}, "")
        assert isinstance(error.cause, ApplicationError), error.cause
        details = error.cause.details[0] if error.cause.details else {}
        return End(error.cause.type or "", None, details, error.cause.message, error.cause)
    output = result["output"] if isinstance(result, dict) and "output" in result else result
    return End("completed", output, result if isinstance(result, dict) else {}, "")


async def tell(handle: WorkflowHandle[Any, Any], update: str, **message: Any) -> Any:
    """Sends an update as ``ann``, and returns its answer."""
    return await handle.execute_update(update, {"by": "ann", **message})


async def refusal_of(handle: WorkflowHandle[Any, Any], update: str, **message: Any) -> str:
    """Sends an update that is refused; returns why, and makes sure that history has nothing of it."""
    before = len((await handle.fetch_history()).events)
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await tell(handle, update, **message)
    assert isinstance(caught.value.cause, ApplicationError), caught.value.cause
    events = (await handle.fetch_history()).events[before:]
    assert not [event for event in events if "update" in str(event.WhichOneof("attributes"))], events
    return caught.value.cause.message


async def until_state(handle: WorkflowHandle[Any, Any], state: str, seconds: float = 60) -> dict[str, Any]:
    """Waits until the board shows a state, and returns the board."""
    deadline = time.monotonic() + seconds
    while True:
        board: dict[str, Any] = await handle.query("board")
        if board["state"] == state:
            return board
        assert time.monotonic() < deadline, f"it is {board['state']} and not {state}"
        await asyncio.sleep(0.05)


async def until_asked(handle: WorkflowHandle[Any, Any], name: str, why: str = "") -> None:
    """Waits until a step asks a person, for this reason."""
    for _ in range(600):
        board = await handle.query("board")
        if any(asked["step"] == name and why in asked["ask"] for asked in board["waiting_for"]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} has not asked: {board['waiting_for']}")


async def until_step(handle: WorkflowHandle[Any, Any], step: str, state: str, seconds: float = 60) -> None:
    """Waits until the board shows a step in a state."""
    deadline = time.monotonic() + seconds
    while True:
        shown = (await handle.query("board"))["steps"].get(step, {}).get("state")
        if shown == state:
            return
        assert time.monotonic() < deadline, f"{step} is {shown} and not {state}"
        await asyncio.sleep(0.05)


def child_of(tasks: Tasks, handle: WorkflowHandle[Any, Any], path: str) -> WorkflowHandle[Any, Any]:
    """The child workflow of a step."""
    return tasks.client.get_workflow_handle(f"{handle.id}/{path}")


async def details_of(handle: WorkflowHandle[Any, Any]) -> str:
    """Returns what the Web UI shows as the workflow's current details."""
    metadata: WorkflowMetadata = await handle.query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    details: str = metadata.current_details
    return details
