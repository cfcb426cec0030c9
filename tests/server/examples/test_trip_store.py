"""The database of the example `trip`: whatever comes twice, late or at once, its rows stay whole."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from counterstep import NotApplied
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.agency import ROME, TOO_LITTLE, agency, states_of
from counterstep.tests.support.processes.postgres import new_database, postgresql
from examples.database import FENCED
from examples.trip.store import BOOKED, CANCELLED, Store, store

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgresql() as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return Store(str(tmp_path / "trip.sqlite"))
    return Store(new_database(request.getfixturevalue("postgres")))


def test_a_repeated_call_gets_its_first_booking(any_store: Store) -> None:
    before = any_store.left()
    first = any_store.book("k1", "t", "flight", "AZ573")
    assert any_store.book("k1", "t", "flight", "AZ573") == first
    assert any_store.left() == before | {"flight AZ573": before["flight AZ573"] - 1}
    assert [row.state for row in any_store.bookings("t")] == [BOOKED]


def test_a_repeated_call_gets_its_booking_when_it_took_the_last_one(any_store: Store) -> None:
    left = any_store.left()["car panda"]
    bookings = [any_store.book(f"k{number}", "t", "car", "panda") for number in range(left)]
    with pytest.raises(NotApplied, match="sold out"):
        any_store.book("one too many", "t", "car", "panda")
    assert any_store.book(f"k{left - 1}", "t", "car", "panda") == bookings[-1]
    assert any_store.left()["car panda"] == 0


def test_undone_twice_is_undone_once(any_store: Store) -> None:
    before = any_store.left()
    any_store.book("k1", "t", "hotel", "artemide")
    for _ in range(2):
        any_store.cancel("k1", "t")
        assert any_store.left() == before
        assert [row.state for row in any_store.bookings("t")] == [CANCELLED]


def test_a_call_that_comes_after_its_undo_is_refused(any_store: Store) -> None:
    before = any_store.left()
    for _ in range(2):
        any_store.cancel("k1", "t")
    with pytest.raises(NotApplied, match="undone before"):
        any_store.book("k1", "t", "flight", "AZ573")
    assert any_store.left() == before
    assert [row.state for row in any_store.bookings("t")] == [FENCED]


def test_a_refused_booking_leaves_no_row(any_store: Store) -> None:
    for offer, reason in (("danieli", "sold out"), ("AZ573", "no hotel"), ("", "no hotel")):
        with pytest.raises(NotApplied, match=reason):
            any_store.book("k1", "t", "hotel", offer)
    assert any_store.bookings("t") == []


def test_calls_and_undos_at_once_leave_whole_rows(any_store: Store) -> None:
    """Twelve keys, each with two calls and two undos that race: an undo wins, whatever comes first."""
    before = any_store.left()

    def book(key: str) -> None:
        with suppress(NotApplied):
            any_store.book(key, "t", "flight", "AZ573")

    def cancel(key: str) -> None:
        any_store.cancel(key, "t")

    with ThreadPoolExecutor(8) as threads:
        jobs = [
            threads.submit(action, f"k{number}")
            for number in range(12)
            for action in (book, cancel, book, cancel)
        ]
        for job in jobs:
            job.result()
    assert any_store.left() == before
    rows = any_store.bookings("t")
    assert len(rows) == 12
    assert {row.state for row in rows} <= {CANCELLED, FENCED}


def test_no_more_than_there_is_can_be_booked_at_once(any_store: Store) -> None:
    left = any_store.left()["flight AZ573"]

    def book(number: int) -> bool:
        try:
            any_store.book(f"k{number}", "t", "flight", "AZ573")
        except NotApplied:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(book, range(left + 5))) == left
    assert any_store.left()["flight AZ573"] == 0
    assert len(any_store.bookings("t")) == left


async def test_a_trip_on_postgresql(
    server: EmbeddedServer, task_queue: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIP_DB", new_database(postgres))
    before = store().left()
    async with agency(server, task_queue) as run:
        undone, failure = await run("trip.trip", TOO_LITTLE)
        assert failure["not_undone"] == []
        assert states_of(store(), undone) == {"flight": CANCELLED, "hotel": CANCELLED, "car": CANCELLED}
        assert store().left() == before
        done, output = await run("trip.trip", ROME)
    assert output["total"] == 720
    assert states_of(store(), done) == {"flight": BOOKED, "hotel": BOOKED, "car": BOOKED}
