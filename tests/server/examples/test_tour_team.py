"""The tour of a team: what its validator refuses, and what another plan cancels and what it leaves booked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.tasks.tasks import end_of
from examples.database import FENCED
from examples.trip.bundle import trip
from examples.trip.store import BOOKED, CANCELLED, Store, store
from examples.trip.tools import SILENT
from examples.trip.tour_script import MODEL, tour_played

pytestmark = pytest.mark.long

KEPT = {"AZ573", "artemide", "FR9410", "davanzati", "uffizi"}
"""What is booked in the middle, and is in the new plan as well."""


@pytest.fixture
def agency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TRIP_DB", str(tmp_path / "trip.sqlite"))
    return store()


def numbers(agency: Store, tour_id: str) -> dict[str | None, int]:
    """The bookings that stand."""
    return {row.offer: row.booking_id for row in agency.bookings(tour_id, [BOOKED])}


async def until(what: Callable[[], bool]) -> None:
    for _ in range(1200):
        if what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it has not come to that")


async def test_a_table_that_is_gone_costs_a_museum_and_nothing_else(
    server: EmbeddedServer, task_queue: str, agency: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = tmp_path / "silent"
    silent.touch()
    monkeypatch.setenv(SILENT, str(silent))
    shelf = agency.left()
    with tour_played() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([trip], model=MODEL)])
        async with Worker(client, task_queue=task_queue):
            handle = await client.start_workflow(
                "trip.tour_team",
                {"origin": "Zurich", "budget": 1110},
                id=f"tour-{uuid4().hex}",
                task_queue=task_queue,
            )
            try:
                await until(lambda: len(numbers(agency, handle.id)) == 6)
                before = numbers(agency, handle.id)
                agency.sell_out("table", "mario")
            finally:
                silent.unlink()
            end = await end_of(handle)
            board = await handle.query("board")
    assert end.type == "completed", end.message
    after = numbers(agency, handle.id)
    assert before.keys() == KEPT | {"borghese"}
    assert after.keys() == KEPT | {"da_enzo", "zaza", "FR9443"}
    assert {offer: after[offer] for offer in KEPT} == {offer: before[offer] for offer in KEPT}
    assert [row.booking_id for row in agency.bookings(handle.id, [CANCELLED])] == [before["borghese"]]
    assert sorted(end.output["booking_ids"]) == sorted(after.values())
    assert end.output["total"] == 1106 - 27 + 10
    left = agency.left()
    assert {name for name in shelf if left[name] != shelf[name]} == {
        f"{row.kind} {row.offer}" for row in agency.bookings(handle.id, [BOOKED])
    } | {"table mario"}
    assert len(agency.bookings(handle.id, [FENCED])) <= 1, "but for the table that could not be booked"
    told = str(board["log"])
    assert "plan 'dinner_rome' again: a validator is sure at 0" in told
    assert "the table 'mario' is sold out" in told
