"""``counterstep publish``: what it starts, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.stock import stock
from counterstep.tests.support.events.parcels import VARIABLE, Rows, parcels
from counterstep.tests.support.processes.command import Ended, Shop
from counterstep.worker import stock_plugin

Publish = Callable[..., Awaitable[Ended]]


@pytest.fixture
async def publish(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Publish]:
    path = tmp_path / "parcels.sqlite"
    monkeypatch.setenv(VARIABLE, str(path))
    Rows(path)
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address, COUNTERSTEP_TASK_QUEUE=task_queue)

    async def run(*arguments: str, stdin: str = "") -> Ended:
        return await asyncio.to_thread(shop.run, "publish", *arguments, stdin=stdin)

    client = await Client.connect(server.address, plugins=[stock_plugin([parcels, stock])])
    async with Worker(client, task_queue=task_queue):
        yield run


async def test_publish_says_what_it_has_started(publish: Publish) -> None:
    order = str(uuid4().int % 10**9)
    first = await publish("order.paid", f'{{"order": {order}}}', "--key", order, "--json")
    assert first.code == 0, first.err
    assert first.json["started"] == [
        {"rule": "parcels.pack", "task": "parcels.pack", "id": f"parcels.pack/{order}", "is_new": True}
    ]
    assert first.err.splitlines() == [
        f"parcels.pack/{order}",
        f"join/parcels.ship/{order} waits for stock.arrived",
        "parcels.gift_wrap starts nothing for this event",
    ]
    payload = f"for_order: {order}\n"
    joined, late = [
        await publish("stock.arrived", "--input-file", "-", "--key", key, stdin=payload) for key in ("a", "b")
    ]
    assert joined.err.splitlines() == [f"parcels.ship/{order}"]
    assert late.err.splitlines() == [f"parcels.ship/{order} had been started before; nothing was started now"]


BAD: dict[str, list[str]] = {
    "--key: is missing; say which one it is": ["order.paid"],
    "did you mean 'order.paid'?": ["order.payed", "--key", "1"],
    "is not JSON": ["order.paid", "{order: 1}", "--key", "1"],
    "leave --input and --input-file out": ["order.paid", "{}", "--key", "1", "--input", "a=1"],
    "TOPIC: a topic looks like order.paid": ["an order", "--key", "1"],
    "start rule parcels.pack: input.order": ["order.paid", "--key", "2", "--input", "order=x"],
}


async def test_publish_refuses_what_is_wrong_with_its_reason(publish: Publish) -> None:
    ends = await asyncio.gather(*(publish(*arguments) for arguments in BAD.values()))
    assert [ended.code for ended in ends] == [2] * len(BAD)
    wrong = {reason: ended.err for reason, ended in zip(BAD, ends, strict=True) if reason not in ended.err}
    assert wrong == {}


async def test_without_a_worker_the_event_is_kept(publish: Publish) -> None:
    ended = await publish("a", "--key", "1", "--task-queue", f"none-{uuid4()}", "--timeout", "0.3")
    assert ended.code == 4
    assert "The event is kept" in ended.err
    assert "Start one: counterstep worker" in ended.err
