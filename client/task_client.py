"""Starts tasks, once per id, and finds those that run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from temporalio.client import Client

from ..bundle.spec_file import parse_spec
from ..saga.spec.task_spec import TaskSpec
from .payload import as_payload, expect_name
from .start_once import AGENT_TASK, spec_document, start_once
from .task import Task
from .updates import find_task


class TaskClient:
    """Starts tasks through a Temporal client, which needs no plugin for that.

    Workers know the code of a task, and this side its name only::

        tasks = TaskClient(await Client.connect("localhost:7233"))
        task = await tasks.start("shop.order", {"sku": "pen", "quantity": 2}, id="order-17")
        print((await task.result()).output)
    """

    def __init__(self, client: Client, *, task_queue: str = "counterstep") -> None:
        """Takes a client.

        Args:
            client: Connected.
            task_queue: Where the workers of the tasks to start are.
        """
        self._client = client
        self._task_queue = task_queue

    async def start(
        self,
        task: str | TaskSpec | Mapping[str, Any],
        input: Any = None,
        *,
        id: str | None = None,
        task_queue: str | None = None,
    ) -> Task:
        """Starts a task, unless its id has been started before with the same input.

        Then it attaches to the running task, or finds the one that has ended; there is never a second run.

        Args:
            task: The name of a registered task; or a spec, where the workers take specs from callers
                (``COUNTERSTEP_INLINE_SPECS``).
            input: The task's input: JSON, or models and dataclasses that become JSON.
            id: The workflow id; a new one where not given.
            task_queue: Where its workers are, if elsewhere.

        Returns:
            The task; its `is_new` tells whether this call has started it.

        Raises:
            IdInUse: The id has been started with another task or input.
            SpecError: The spec has faults, the input is no JSON or too large, or an id or queue is empty.
            RPCError: The server does not answer or refuses.
        """
        expect_name(id, "id")
        expect_name(task_queue, "task_queue")
        said = as_payload({} if input is None else input, "input")
        workflow, argument, name, summary = _start_of(task, said)
        queue = task_queue or self._task_queue
        started = await start_once(
            self._client,
            workflow,
            argument,
            id=id or f"{name}-{uuid4().hex[:12]}",
            task_queue=queue,
            summary=summary,
        )
        return Task(
            self._client,
            started.handle,
            run_id=started.run_id,
            name=workflow,
            task_queue=started.task_queue,
            is_new=started.is_new,
        )

    async def attach(self, id: str) -> Task:
        """Finds a task that somebody has started.

        Args:
            id: The workflow id.

        Returns:
            The task: its newest run.

        Raises:
            UnknownTask: There is none.
            RPCError: The server does not answer.
        """
        handle, found = await find_task(self._client, id)
        return Task(
            self._client, handle, run_id=found.run_id, name=found.workflow_type, task_queue=found.task_queue
        )


def _start_of(task: str | TaskSpec | Mapping[str, Any], input: Any) -> tuple[str, Any, str, str]:
    """Workflow type, argument, name and summary of a start."""
    if isinstance(task, str):
        return task, input, task, task
    spec = task if isinstance(task, TaskSpec) else parse_spec(task)
    return AGENT_TASK, {"spec": spec_document(spec), "input": input}, spec.name, spec.goal or spec.name
