"""Events while the workers of a queue are replaced by those of another version."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle
from counterstep.client import TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.observability.queue_check import identity_of_worker
from counterstep.stock import stock
from counterstep.tests.support.events.parcels import VARIABLE, Rows, parcels
from counterstep.tests.support.tasks.deployments import make_current, versioned
from counterstep.worker import stock_plugin


async def test_a_join_moves_to_the_current_version(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "parcels.sqlite"
    monkeypatch.setenv(VARIABLE, str(path))
    rows, order = Rows(path), uuid4().int % 10**9
    client = await Client.connect(server.address, plugins=[stock_plugin([parcels, stock])])
    tasks = TaskClient(client, task_queue=task_queue)
    async with AsyncExitStack() as new:
        async with versioned(client, task_queue, "one"):
            await make_current(client, task_queue, "one")
            first = await tasks.publish("order.paid", {"order": order}, key=f"p{order}")
            await new.enter_async_context(versioned(client, task_queue, "two"))
            await make_current(client, task_queue, "two")
            # The first event that comes now is the old version's last one of this join.
            join = client.get_workflow_handle(first.joined[0].id)
            async with asyncio.timeout(60):
                while await _build(client, join.id) != "two":
                    await tasks.publish("order.paid", {"order": order}, key=str(uuid4()))
        last = await tasks.publish("stock.arrived", {"for_order": order}, key=f"s{order}")
        assert last.joined[0].task is not None
        await client.get_workflow_handle(last.joined[0].task.id).result()
        assert await _build(client, last.joined[0].task.id) == "two"
    assert (f"parcel {order}", f"parcels.ship/{order}") in rows.sent()


async def _build(client: Client, id: str) -> str:
    found = await client.get_workflow_handle(id).describe()
    build: str = found.raw_description.workflow_execution_info.versioning_info.deployment_version.build_id
    return build


@pytest.mark.slow
async def test_a_topic_that_only_some_workers_know_is_left_to_these(
    server: EmbeddedServer, task_queue: str
) -> None:
    """As in a rolling deployment."""
    nothing: dict[str, Any] = {"name": "rest", "steps": [{"id": "rest", "wait": {"time": "1ms"}}]}
    old, new = Bundle("shop"), Bundle("shop")
    for bundle in (old, new):
        bundle.add_task(nothing)
        bundle.on("known", task="rest", name="before")
    new.on("announced", task="rest")
    async with AsyncExitStack() as workers:
        for bundle in (old, new):
            plugin = stock_plugin([bundle])
            client = await Client.connect(server.address, plugins=[plugin])
            offered = plugin.registry
            identity = identity_of_worker(offered.catalog, client.identity, offered.start_rules)
            await workers.enter_async_context(Worker(client, task_queue=task_queue, identity=identity))
        tasks = TaskClient(client, task_queue=task_queue)
        published = await asyncio.gather(
            *(tasks.publish("announced", key=str(uuid4()), seconds=100) for _ in range(8))
        )
    assert {len(publication.started) for publication in published} == {1}
