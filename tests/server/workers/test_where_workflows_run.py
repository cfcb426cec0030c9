"""In which thread of a worker a workflow runs, and what one that never waits does to the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.runtime.activation_executor import ActivationExecutor
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks

PUT = [{"id": "a", "tool": "desk.put", "input": {"what": "a"}}]

SEEN: dict[str, int] = {}
"""Of each type the thread in which a workflow of it has begun."""


class _Notes(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        SEEN[workflow.info().workflow_type] = threading.get_ident()
        return await super().execute_workflow(input)


class NotesThreads(Interceptor):
    """Fills `SEEN`."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        """See base class."""
        return _Notes


@workflow.defn(sandboxed=False)
class Unguarded:
    """A workflow of a user's, outside the sandbox."""

    @workflow.run
    async def run(self) -> str:
        return "done"


@workflow.defn(sandboxed=False)
class Endless:
    """A workflow of a user's that does not wait until it is told to."""

    began = threading.Event()
    go_on = threading.Event()

    @workflow.run
    async def run(self) -> str:
        Endless.began.set()
        Endless.go_on.wait(30)
        return "done"


@asynccontextmanager
async def worker_of(server: EmbeddedServer, task_queue: str, **options: Any) -> AsyncIterator[Tasks]:
    """A worker with tasks and workflows of a user's own."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[Unguarded, Endless],
        activity_executor=ThreadPoolExecutor(4),
        interceptors=[NotesThreads()],
        **options,
    ):
        yield Tasks(client, task_queue)


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()
    Endless.began.clear()
    Endless.go_on.clear()


async def test_tasks_run_in_the_event_loop_and_what_users_write_in_threads(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    async with worker_of(server, task_queue) as tasks:
        assert (await tasks.run(PUT)).type == "completed"
        assert await (await tasks.start_workflow("Unguarded")).result() == "done"
    assert effects.effects().keys() == {"a"}
    assert SEEN["AgentTask"] == threading.get_ident()
    assert SEEN["Unguarded"] != threading.get_ident()


async def test_a_workflow_of_a_users_that_never_waits_holds_up_no_task(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    async with worker_of(server, task_queue) as tasks:
        endless = await tasks.start_workflow("Endless")
        assert await asyncio.to_thread(Endless.began.wait, 10)
        async with asyncio.timeout(10):
            assert (await tasks.run(PUT)).type == "completed"
        Endless.go_on.set()
        assert await endless.result() == "done"


async def test_an_executor_of_ones_own_runs_all(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    with ThreadPoolExecutor(2) as own:
        async with worker_of(server, task_queue, workflow_task_executor=own) as tasks:
            assert (await tasks.run(PUT)).type == "completed"
    assert SEEN["AgentTask"] != threading.get_ident()


async def test_there_are_as_many_threads_as_workflow_tasks(server: EmbeddedServer, task_queue: str) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    threads = ThreadPoolExecutor(4)
    worker = Worker(client, task_queue=task_queue, activity_executor=threads, max_concurrent_workflow_tasks=7)
    executor = worker.config(active_config=True)["workflow_task_executor"]
    assert isinstance(executor, ActivationExecutor)
    assert executor._max_workers == 7
