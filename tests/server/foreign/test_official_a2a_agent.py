"""An agent of the official SDK, elsewhere: its states, and restarts of both sides."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign import official_agent
from counterstep.tests.support.foreign.hotel import HOTEL, guest_worker, guests, visited
from counterstep.tests.support.foreign.official_agent import Rows
from counterstep.tests.support.foreign.served import Orders
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import end_of

pytestmark = pytest.mark.long

ROME = {"city": "Rome"}


class Hotel:
    """The program; it may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self.rows = Rows(str(folder / "bookings.sqlite"))
        self._program: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def booked(self) -> list[tuple[str, ...]]:
        return self.rows.run("select city, state from bookings order by rowid")

    async def start(self) -> None:
        words = [str(official_agent.__file__), str(self.port)]
        words += [str(self._folder / "bookings.sqlite"), str(self._folder / "tasks.sqlite")]
        self._program = await asyncio.create_subprocess_exec(sys.executable, *words)
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            for _ in range(300):
                try:
                    await http.get(f"{self.url}/.well-known/agent-card.json")
                    return
                except httpx.HTTPError:
                    await asyncio.sleep(0.1)

    async def kill(self) -> None:
        assert self._program is not None
        self._program.kill()
        await self._program.wait()


@pytest.fixture
async def official(tmp_path: Path) -> AsyncIterator[Hotel]:
    """The hotel of the official SDK."""
    program = Hotel(tmp_path)
    await program.start()
    yield program
    await program.kill()


async def test_its_states_are_told_in_our_words(
    server: EmbeddedServer, task_queue: str, official: Hotel, orders: Orders
) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([guests(official.url)])])
    async with Worker(client, task_queue=task_queue):
        well = await visited(client, task_queue, ROME)
        late = await visited(client, task_queue, ROME, "guests.late")
        failed = await visited(client, task_queue, {**ROME, "ends": "failed"})
        rejected = await visited(client, task_queue, {**ROME, "ends": "rejected"})
        asks = await visited(client, task_queue, {**ROME, "ends": "asks"})
        locks = await visited(client, task_queue, {**ROME, "ends": "locks"})
    assert (well.type, well.output) == ("completed", {"room": "room in Rome"})
    assert late.type == "SagaRolledBack"
    told = [(end.failure["type"], end.failure["message"]) for end in (failed, rejected, asks, locks)]
    assert told == [
        ("A2aFailed", "its task at guests.hotel is failed: the roof is gone"),
        ("NotApplied", "guests.hotel has rejected it: no rooms"),
        (
            "A2aFailed",
            "guests.hotel wants more input, which a task cannot give; put it into the request: which bed?",
        ),
        (
            "A2aFailed",
            "guests.hotel wants other credentials, which a task cannot give; put them into the headers of "
            "its A2AAgent: members only",
        ),
    ]
    # What completed is undone with its output, what failed without; what was rejected needs no undo.
    assert [what for what, _ in orders.rows()] == [
        "cancelled room in Rome",
        "cancelled what nobody knows",
        "cancelled what nobody knows",
        "cancelled what nobody knows",
    ]
    # Who asks is cancelled there: an answer that somebody gave it later would book what is undone here.
    assert [state for _, state in official.booked()] == ["booked"] * 3 + ["cancelled"] * 2


async def test_a_cancel_reaches_it(
    server: EmbeddedServer, task_queue: str, official: Hotel, orders: Orders
) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([guests(official.url)])])
    async with Worker(client, task_queue=task_queue):
        handle = await client.start_workflow(
            "guests.visit", {**ROME, "seconds": 30}, id=f"visit-{uuid4()}", task_queue=task_queue
        )
        await until(official.booked)
        await handle.cancel()
        assert (await end_of(handle)).type == "cancelled"
        await until(lambda: official.booked() == [("Rome", "cancelled")])


async def test_a_worker_that_stops_leaves_its_task_to_the_next(
    server: EmbeddedServer, task_queue: str, official: Hotel, orders: Orders
) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([guests(official.url)])])
    grace = timedelta(seconds=1)  # shorter than the task
    async with Worker(client, task_queue=task_queue, graceful_shutdown_timeout=grace):
        handle = await client.start_workflow(
            "guests.visit", {**ROME, "seconds": 4}, id=f"visit-{uuid4()}", task_queue=task_queue
        )
        await until(official.booked)
    async with Worker(client, task_queue=task_queue):
        end = await end_of(handle)
    assert (end.type, end.output) == ("completed", {"room": "room in Rome"})
    assert official.booked() == [("Rome", "booked")]


async def test_a_secret_that_it_sends_back_is_in_no_history(
    server: EmbeddedServer,
    task_queue: str,
    official: Hotel,
    orders: Orders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOTEL_PASS", "sesame-open")
    bundle = guests(official.url, headers={"Authorization": "Bearer env:HOTEL_PASS"})
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([bundle])])
    async with Worker(client, task_queue=task_queue):
        end = await visited(client, task_queue, {**ROME, "ends": "echo"})
    assert (end.type, end.output) == ("completed", {"room": "room for Bearer [redacted]"})


async def test_who_is_not_trusted_is_not_asked_and_nothing_is_undone(
    server: EmbeddedServer, task_queue: str, official: Hotel, orders: Orders, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text('{"keys": [{"kty": "oct", "k": "c2VzYW1l", "kid": "a"}]}')
    bundle = guests(official.url, keys=str(tmp_path / "keys.json"), require_signature=True)
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([bundle])])
    async with Worker(client, task_queue=task_queue):
        end = await visited(client, task_queue, ROME)
    assert end.failure["type"] == "NotApplied"
    assert "is not signed, and its signature is required" in end.failure["message"]
    assert (official.booked(), orders.rows()) == ([], [])


@pytest.mark.long
async def test_after_a_kill_of_both_sides_its_task_is_found_again(
    server: EmbeddedServer,
    task_queue: str,
    official: Hotel,
    orders: Orders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HOTEL, official.url)
    client = await Client.connect(server.address)
    handle = await client.start_workflow(
        "guests.visit", {**ROME, "seconds": 2}, id=f"visit-{uuid4()}", task_queue=task_queue
    )
    with worker_process(server.address, task_queue, guest_worker) as first:
        await until(official.booked)
        first.kill()
    await asyncio.sleep(3)  # the hotel ends its task meanwhile, and nobody hears of it
    await official.kill()
    await official.start()
    with worker_process(server.address, task_queue, guest_worker):
        end = await end_of(handle)
    assert (end.type, end.output) == ("completed", {"room": "room in Rome"})
    assert official.booked() == [("Rome", "booked")]
