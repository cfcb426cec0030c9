"""Temporal's customer service, killed and cancelled: what it leaves behind, with a saga and without.

A part of the 50 runs is made by every run of these tests, and all of them with ``-m slow``.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.frameworks.airline import VARIABLE, Airline
from counterstep.tests.support.frameworks.airline_worker import airline_process
from counterstep.tests.support.frameworks.turns import turns
from counterstep.tests.support.tasks.tasks import end_of

MOST = 0.8
"""Of the time that a run takes: by then each is disturbed."""

WANTED = Counter({"seat 12A": 1, "bag 23": 1, "fee 30": 1})


def request(booking: str) -> str:
    """What a passenger wants: a question, and a seat and a bag side by side, and to pay for them."""
    return turns(
        [("transfer_to_seat_booking_agent", {})],
        [
            ("update_seat", {"booking": booking, "seat": "12A"}),
            ("add_bag", {"booking": booking, "kilos": 23}),
        ],
        [("charge", {"booking": booking, "euros": 30})],
        "You sit in 12A.",
    )


class Storm:
    """Runs of one workflow, each disturbed at a moment of its own, and what they leave behind."""

    def __init__(self, client: Client, airline: Airline, workflow: str) -> None:
        self._client = client
        self._airline = airline
        self._workflow = workflow
        self.ended: Counter[str] = Counter()
        self.left: Counter[str] = Counter()

    async def seconds(self, queue: str) -> float:
        """How long a run takes that nobody disturbs; the first one takes longer, and does not count."""
        await (await self._start(queue)).result()
        began = time.monotonic()
        await (await self._start(queue)).result()
        return MOST * (time.monotonic() - began)

    async def cancelled(self, queue: str, runs: int, seconds: float) -> None:
        """Cancels each run at another moment."""
        await asyncio.gather(*(self._cancel(queue, seconds * number / runs) for number in range(runs)))

    async def started(self, queue: str, runs: int, seconds: float) -> list[WorkflowHandle[Any, Any]]:
        """Starts runs one after the other, so that they come to different places."""
        handles = []
        for _ in range(runs):
            handles.append(await self._start(queue))
            await asyncio.sleep(seconds / runs)
        return handles

    async def counted(self, handles: list[WorkflowHandle[Any, Any]]) -> None:
        """Waits for runs, and counts what they have left behind."""
        await asyncio.gather(*map(self._count, handles))

    async def _cancel(self, queue: str, after: float) -> None:
        handle = await self._start(queue)
        await asyncio.sleep(after)
        await handle.cancel()
        await self._count(handle)

    async def _start(self, queue: str) -> WorkflowHandle[Any, Any]:
        booking = f"booking-{uuid4()}"
        return await self._client.start_workflow(
            self._workflow, request(booking), id=booking, task_queue=queue
        )

    async def _count(self, handle: WorkflowHandle[Any, Any]) -> None:
        end = await end_of(handle)
        self.ended[end.type] += 1
        standing = self._airline.standing(handle.id)
        wanted = WANTED if end.type == "completed" else Counter[str]()
        self.left["orphans"] += (standing - wanted).total()
        self.left["missing"] += (wanted - standing).total()


async def kill_under(storms: Sequence[Storm], address: str, runs: int) -> None:
    """Kills the worker under so many runs of each; every second one is cancelled before another goes on."""
    queue = f"killed-{uuid4()}"
    with airline_process(address, queue) as process:
        seconds = await storms[0].seconds(queue)
        handles = await asyncio.gather(*(storm.started(queue, runs, seconds) for storm in storms))
        process.kill()
        process.wait()
    await asyncio.gather(*(handle.cancel() for started in handles for handle in started[::2]))
    with airline_process(address, queue):
        await asyncio.gather(*(storm.counted(one) for storm, one in zip(storms, handles, strict=True)))


async def cancel(storms: Sequence[Storm], address: str, runs: int) -> None:
    """Cancels so many runs of each."""
    queue = f"cancelled-{uuid4()}"
    with airline_process(address, queue):
        seconds = await storms[0].seconds(queue)
        await asyncio.gather(*(storm.cancelled(queue, runs, seconds) for storm in storms))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("rounds", "runs", "cancels"),
    [(1, 6, 4), pytest.param(4, 8, 18, marks=pytest.mark.slow)],
    ids=["10 runs", "50 runs"],
)
async def test_killed_and_cancelled_it_leaves_nothing_behind(
    rounds: int,
    runs: int,
    cancels: int,
    server: EmbeddedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "airline.sqlite"
    monkeypatch.setenv(VARIABLE, str(file))
    airline, client = Airline(file), await Client.connect(server.address)
    before = Storm(client, airline, "CustomerService")
    after = Storm(client, airline, "UndoableCustomerService")
    for _ in range(rounds):
        await kill_under((before, after), server.address, runs)
    await cancel((before, after), server.address, cancels)
    with capsys.disabled():
        for name, storm in (("without a saga", before), ("with saga_tools", after)):
            ended = ", ".join(f"{number} {how}" for how, number in storm.ended.items())
            print(f"\n{name}: {storm.ended.total()} runs ({ended}): {dict(storm.left)}", end="")
    assert after.left == {"orphans": 0, "missing": 0}
    assert before.left["orphans"] > 0  # or nothing was in danger
    killed = rounds * runs // 2
    assert after.ended == {"completed": killed, "cancelled": killed + cancels}
