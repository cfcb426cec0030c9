"""An agent elsewhere is an agent here: two instances of Counterstep over A2A, over a kill of either side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.a2a_agent import A2aAgent, serving
from counterstep.tests.support.foreign.hotel import HOTEL, guest_worker, guests, hotel, visited
from counterstep.tests.support.foreign.served import Orders
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import end_of

ROME = {"city": "Rome"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.fixture
async def agent(server: EmbeddedServer, task_queue: str, orders: Orders) -> AsyncIterator[A2aAgent]:
    """The hotel, served by the command, with a worker of its own."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([hotel])])
    bundle = "counterstep.tests.support.foreign.hotel:hotel"
    async with (
        Worker(client, task_queue=f"{task_queue}-hotel"),
        serving(server.address, f"{task_queue}-hotel", "--bundle", bundle) as agent,
    ):
        yield agent


@asynccontextmanager
async def guesting(server: EmbeddedServer, queue: str, url: str, **said: Any) -> AsyncIterator[Client]:
    """Runs a worker of the guests; yields a client."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([guests(url, **said)])])
    async with Worker(client, task_queue=queue):
        yield client


async def test_it_answers_and_is_undone_like_any_other(
    server: EmbeddedServer, task_queue: str, agent: A2aAgent, orders: Orders
) -> None:
    async with guesting(server, task_queue, agent.url) as client:
        end = await visited(client, task_queue, ROME)
        assert (end.type, end.output) == ("completed", {"room": "room in Rome"})
        late = await visited(client, task_queue, ROME, "guests.late")
    assert late.type == "SagaRolledBack"
    assert [what for what, _ in orders.rows()] == ["room in Rome", "room in Rome", "cancelled room in Rome"]


@pytest.mark.long
async def test_a_cancel_is_passed_on(
    server: EmbeddedServer, task_queue: str, agent: A2aAgent, orders: Orders
) -> None:
    async with guesting(server, task_queue, agent.url) as client:
        handle = await client.start_workflow(
            "guests.visit", {**ROME, "seconds": 10}, id=f"visit-{uuid4()}", task_queue=task_queue
        )
        await until(lambda: orders.rows())
        await handle.cancel()
        end = await end_of(handle)
        assert end.type == "cancelled"
        await until(lambda: ("room in Rome", "undone") in orders.rows())
    assert ("cancelled what nobody knows", "done") in orders.rows()


@pytest.mark.long
async def test_over_a_kill_of_either_side_the_work_is_done_once(
    server: EmbeddedServer,
    task_queue: str,
    agent: A2aAgent,
    orders: Orders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HOTEL, agent.url)
    client = await Client.connect(server.address)
    given = {**ROME, "seconds": 5}
    handle = await client.start_workflow("guests.visit", given, id=f"visit-{uuid4()}", task_queue=task_queue)
    with worker_process(server.address, task_queue, guest_worker) as first:
        await until(lambda: orders.rows())
        first.kill()
    await agent.kill()
    await agent.start()
    with worker_process(server.address, task_queue, guest_worker):
        end = await end_of(handle)
    assert (end.type, end.output) == ("completed", {"room": "room in Rome"})
    assert orders.rows() == [("room in Rome", "done")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("given", "said", "type_", "told"),
    [
        ({"city": 3}, {}, "A2aFailed", "has refused the request"),
        (ROME, {"metadata": {"task": "hotel.sty"}}, "A2aFailed", "did you mean 'hotel.stay'"),
        (ROME, {"url": "http://127.0.0.1:1"}, "A2aFailed", "cannot be read"),
        ({"city": ["Rome"]}, {"input": CITY}, "InvalidInput", "request.city"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(
    server: EmbeddedServer,
    task_queue: str,
    agent: A2aAgent,
    orders: Orders,
    given: Any,
    said: dict[str, Any],
    type_: str,
    told: str,
) -> None:
    async with guesting(server, task_queue, said.pop("url", agent.url), **said) as client:
        end = await visited(client, task_queue, given)
    assert end.failure["type"] == type_
    assert told in end.failure["message"]
    assert ("room in Rome", "done") not in orders.rows()
