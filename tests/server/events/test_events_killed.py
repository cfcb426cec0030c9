"""200 events, some twice, some late, on two worker processes that are killed: each task once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from counterstep.client import TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.events.parcels import VARIABLE, Rows, parcel_worker
from counterstep.tests.support.processes.worker_process import worker_process

ORDERS = 100
TWICE = 60
LATE = 20
KILLS = 4
AT_ONCE = 12


@asynccontextmanager
async def killed_workers(address: str, task_queue: str, chance: random.Random) -> AsyncIterator[list[int]]:
    """Runs two workers, of which one is killed and replaced again and again; yields who was killed."""
    killed: list[int] = []
    with ExitStack() as rooms:

        def another() -> Any:
            return rooms.enter_context(worker_process(address, task_queue, parcel_worker))

        workers = [another(), another()]

        async def kill() -> None:
            while len(killed) < KILLS:
                await asyncio.sleep(chance.uniform(1, 2))
                victim = workers.pop(chance.randrange(2))
                victim.kill()
                killed.append(victim.pid)
                workers.append(await asyncio.to_thread(another))

        killing = asyncio.create_task(kill())
        try:
            yield killed
            await killing
        finally:
            killing.cancel()


@pytest.mark.slow
async def test_200_events_start_each_task_once_while_workers_are_killed(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "parcels.sqlite"
    monkeypatch.setenv(VARIABLE, str(path))
    rows, chance = Rows(path), random.Random(14)
    first = uuid4().int % 10**9 * 1000
    orders = [first + number for number in range(ORDERS)]
    events = [("order.paid", {"order": order}) for order in orders]
    events += [("stock.arrived", {"for_order": order}) for order in orders]
    said = events + chance.sample(events, TWICE)
    chance.shuffle(said)
    client = await Client.connect(server.address)
    tasks, room = TaskClient(client, task_queue=task_queue), asyncio.Semaphore(AT_ONCE)
    published = Counter[str]()

    async def publish(number: int, topic: str, payload: dict[str, int]) -> None:
        key = f"{topic} {sum(payload.values())}"
        async with room:
            published[key] += 1
            if published[key] == 1:
                await tasks.publish(topic, payload, key=key, seconds=120)
                return
            # A program that knows nothing of us, and remembers nothing.
            event = {"topic": topic, "key": key, "payload": payload}
            await client.execute_workflow(
                "counterstep.publish", event, id=f"{task_queue}-{number}", task_queue=task_queue
            )

    async with killed_workers(server.address, task_queue, chance) as killed:
        await asyncio.gather(*(publish(n, topic, payload) for n, (topic, payload) in enumerate(said)))
        ids = [f"parcels.{rule}/{order}" for order in orders for rule in ("pack", "ship")]
        await asyncio.gather(*(client.get_workflow_handle(id).result() for id in ids))
        # What comes when everything is over, under keys that nobody has seen.
        late = [
            await tasks.publish(topic, payload, key=f"late {number}-{first}", seconds=120)
            for number, (topic, payload) in enumerate(chance.sample(events, LATE))
        ]
    sent = Counter(rows.sent())
    print(
        f"\n{len(events)} events, {len(said) + LATE} publications, {len(killed)} workers killed: "
        f"{len(sent)} tasks have sent {sum(sent.values())} parcels"
    )
    assert len(killed) == KILLS
    assert sent == Counter(
        {
            **{(f"order {order}", f"parcels.pack/{order}"): 1 for order in orders},
            **{(f"parcel {order}", f"parcels.ship/{order}"): 1 for order in orders},
        }
    )
    starts = [task.is_new for publication in late for task in publication.started]
    joins = [(answer.state, answer.is_new) for publication in late for answer in publication.joined]
    assert not any(starts)
    assert joins == [("started", False)] * LATE
