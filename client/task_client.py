"""Starts tasks, only once for each id, and finds tasks that were started before."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from temporalio.client import Client

from ..bundle.spec_file import parse_spec
from ..runtime.publishing import publish_event
from ..saga.errors import SpecError
from ..saga.events.publication import Publication
from ..saga.events.published_event import event_faults, key_text
from ..saga.spec.input_reads import check_task_input
from ..saga.spec.task_spec import TaskSpec
from .errors import NoAnswer
from .payload import as_payload, expect_name
from .start_once import AGENT_TASK, spec_document, start_once
from .task import Task
from .updates import find_task

PUBLISH_SECONDS: Final = 30.0
"""How long workers may take to say what an event has started."""


class TaskClient:
    """Starts tasks through a Temporal client, which does not need the plugin.

    The workers have the code of a task; this side only needs its name::

        tasks = TaskClient(await Client.connect("localhost:7233"))
        task = await tasks.start("shop.order", {"sku": "pen", "quantity": 2}, id="order-17")
        print((await task.result()).output)
    """

    def __init__(self, client: Client, *, task_queue: str = "counterstep") -> None:
        """Wraps a Temporal client.

        Args:
            client: A connected client.
            task_queue: The queue of the workers that run the tasks.
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
        memo: Mapping[str, Any] | None = None,
    ) -> Task:
        """Starts a task, unless its id has been started before with the same input.

        If it has been, this attaches to the running task or finds the one that has ended. There is never a
        second run.

        Args:
            task: The name of a registered task, or a spec if the workers take specs from callers
                (``COUNTERSTEP_INLINE_SPECS``).
            input: The task's input: JSON, or models and dataclasses that can be turned into JSON.
            id: The workflow id; without it a new one is made.
            task_queue: The queue of its workers, if it is another one.
            memo: What is kept beside a new task, for whoever finds it; JSON values by their names.

        Returns:
            The task; its `is_new` tells whether this call has started it.

        Raises:
            IdInUse: The id has been started with another task or input.
            SpecError: The spec has faults, the input lacks what it needs, is not JSON or is too large, or the
                id or the queue is empty.
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
            memo=memo,
        )
        return Task(
            self._client,
            started.handle,
            run_id=started.run_id,
            name=workflow,
            task_queue=started.task_queue,
            is_new=started.is_new,
        )

    async def publish(
        self,
        topic: str,
        payload: Any = None,
        *,
        key: str | int,
        task_queue: str | None = None,
        seconds: float = PUBLISH_SECONDS,
    ) -> Publication:
        """Publishes an event, which starts the tasks that rules name for its topic (``bundle.on``).

        However often it is published under the same key, it counts once: this returns what it has started,
        now or before. That holds for as long as the server keeps workflows that have ended (the namespace's
        retention).

        Args:
            topic: What has happened, e.g. ``order.paid``.
            payload: What is told of it: JSON, or models and dataclasses that can be turned into JSON.
            key: Which event of its topic it is.
            task_queue: The queue of the workers, if it is another one.
            seconds: How long they may take to answer.

        Returns:
            What the event has started.

        Raises:
            EventRefused: No rule takes this topic, the event does not fit a rule or its task, the key was
                used for another event of the topic, or too many events in a row have led to it.
            SpecError: The payload is not JSON or is too large, or topic or key are not valid.
            NoAnswer: The workers have not answered in time. The event is kept; publish it again to see what
                it has started.
            RPCError: The server does not answer.
        """
        expect_name(task_queue, "task_queue")
        said = as_payload({} if payload is None else payload, "payload")
        if faults := list(event_faults(topic, key)):
            raise SpecError(faults)
        queue = task_queue or self._task_queue
        try:
            async with asyncio.timeout(seconds):
                return await publish_event(self._client, topic, key_text(key), said, task_queue=queue)
        except TimeoutError:
            message = (
                f"The event is kept, but no worker of the queue {queue!r} has answered in {seconds:g} s."
            )
            raise NoAnswer(message, queue, accepted=True) from None

    async def attach(self, id: str) -> Task:
        """Finds a task that has been started before.

        Args:
            id: The workflow id.

        Returns:
            The task with its newest run.

        Raises:
            UnknownTask: There is no such task.
            RPCError: The server does not answer.
        """
        handle, found = await find_task(self._client, id)
        return Task(
            self._client, handle, run_id=found.run_id, name=found.workflow_type, task_queue=found.task_queue
        )


def _start_of(task: str | TaskSpec | Mapping[str, Any], input: Any) -> tuple[str, Any, str, str]:
    """Returns the workflow type, the argument, the name and the summary of a start."""
    if isinstance(task, str):
        return task, input, task, task
    spec = task if isinstance(task, TaskSpec) else parse_spec(task)
    faults = check_task_input(spec, input)
    if faults:
        raise SpecError(faults)
    return AGENT_TASK, {"spec": spec_document(spec), "input": input}, spec.name, spec.goal or spec.name
