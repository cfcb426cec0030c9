"""G26: the workers of a queue are replaced in turn by those of a new version, and no task ends by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep import Bundle, Effect
from counterstep.embedded import EmbeddedServer
from counterstep.saga.calls import unknown_names
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import End, Tasks, end_of
from counterstep.tests.support.tasks.work import put
from counterstep.worker import stock_plugin

WORKERS = 2
OLD_TASK = {"name": "old", "goal": "One thing.", "steps": [put("a", delay=0.05)]}
NEW_TASK = {
    "name": "new",
    "goal": "One thing more.",
    "steps": [
        put("a", delay=0.05),
        {"id": "b", "needs": ["a"], "tool": "shop.count", "input": {"what": "abc"}},
    ],
}


def version(number: int) -> Bundle:
    """The bundle; its second version has a tool and a task more."""
    shop = Bundle("shop")
    shop.add_task(OLD_TASK)
    if number > 1:

        @shop.tool(effect=Effect.READ_ONLY)
        def count(what: str) -> int:
            return len(what)

        shop.add_task(NEW_TASK)
    return shop


@asynccontextmanager
async def worker_of(address: str, task_queue: str, number: int) -> AsyncIterator[Client]:
    client = await Client.connect(address, plugins=[stock_plugin([desk, version(number)])])
    async with Worker(client, task_queue=task_queue):
        yield client


@pytest.mark.slow
async def test_a_rolling_deployment_ends_no_task(
    server: EmbeddedServer, task_queue: str, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_names, "PAUSE", timedelta(seconds=1))
    started: list[WorkflowHandle[object, object]] = []

    async def load(tasks: Tasks, name: str, seconds: float) -> None:
        for _ in range(int(seconds * 5)):
            started.append(await tasks.start_workflow(name, {}))
            await asyncio.sleep(0.2)

    tasks = Tasks(await Client.connect(server.address), task_queue)
    async with AsyncExitStack() as new_ones:
        old_ones = [AsyncExitStack() for _ in range(WORKERS)]
        for stack in old_ones:
            await stack.enter_async_context(worker_of(server.address, task_queue, 1))
        await load(tasks, "shop.old", 1)
        for stack in old_ones:
            # Both versions serve the queue for a while: each takes whatever comes, the new task included.
            await new_ones.enter_async_context(worker_of(server.address, task_queue, 2))
            await asyncio.gather(load(tasks, "shop.old", 3), load(tasks, "shop.new", 3))
            await stack.aclose()
        async with asyncio.timeout(240):
            ends: list[End] = await asyncio.gather(*(end_of(handle) for handle in started))
    assert len(ends) > 50
    assert {end.type for end in ends} == {"completed"}
