"""Starts tasks from specs that a test writes down, and reads how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
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
