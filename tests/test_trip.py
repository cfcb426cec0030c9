"""The example `trip`: what stands in its database after each way in which a trip can end."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep import NotApplied
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from examples.trip.bundle import trip
from examples.trip.store import BOOKED, CANCELLED, FENCED, Store, store

ROME = {"origin": "Zurich", "destination": "Rome", "budget": 1000}
TOO_LITTLE = ROME | {"budget": 500}
OVERBOOKED = {"origin": "Zurich", "destination": "Venice", "budget": 5000}
TASKS = ["trip.trip", "BookTrip"]


# --- the databases


def _postgres_folder() -> Path:
    """Returns where PostgreSQL's programs are, or skips the test."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'counterstep[postgres]'")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (installed[-1] if installed else None)
    if found is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb in PATH or in /usr/lib/postgresql")
    return Path(found).resolve().parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own on a Unix socket; the DSN of its maintenance database."""
    programs = _postgres_folder()
    folder = Path(tempfile.mkdtemp(prefix="trip-", dir="/tmp"))  # short: a socket's path has 107 bytes
    other: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        other = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = str(folder / "data")
    initdb = [str(programs / "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", **other)
    serve = [str(programs / "postgres"), "-D", data, "-k", str(folder), "-c", "listen_addresses="]
    server = subprocess.Popen([*serve, "-c", "fsync=off"], stderr=subprocess.DEVNULL, cwd="/", **other)
    address = f"postgresql+psycopg://postgres@/postgres?host={folder}"
    try:
        _await_postgres(address)
        yield address
    finally:
        server.send_signal(signal.SIGINT)  # it waits for no client
        server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _await_postgres(address: str) -> None:
    engine = create_engine(address)
    for _ in range(100):
        try:
            engine.connect().close()
        except OperationalError:
            time.sleep(0.1)
        else:
            engine.dispose()
            return
    raise RuntimeError("PostgreSQL has not started")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return Store(str(tmp_path / "trip.sqlite"))
    return Store(_new_database(request.getfixturevalue("postgres")))


def _new_database(postgres: str) -> str:
    name = f"trip_{uuid4().hex}"
    engine = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return postgres.replace("/postgres?", f"/{name}?").replace("+psycopg", "")


# --- the fenced keys


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


# --- the task, in YAML and in Python


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TRIP_DB", str(tmp_path / "trip.sqlite"))
    return store()


Run = Callable[[str, dict[str, Any]], Awaitable[tuple[str, Any]]]
"""Runs a trip; gives its id, and its output or what its failure says."""


@asynccontextmanager
async def _agency(server: EmbeddedServer, task_queue: str, model: str | None = None) -> AsyncIterator[Run]:
    plugin = CounterstepPlugin([trip], model=model)
    client = await Client.connect(server.address, plugins=[plugin])

    async def run(task: str, wishes: dict[str, Any]) -> tuple[str, Any]:
        trip_id = f"trip-{uuid4().hex}"
        handle = await client.start_workflow(task, wishes, id=trip_id, task_queue=task_queue)
        try:
            result = await handle.result()
        except WorkflowFailureError as error:
            assert isinstance(error.cause, ApplicationError)
            assert error.cause.type == "SagaRolledBack"
            return trip_id, error.cause.details[0]
        return trip_id, result.get("output", result)

    async with Worker(client, task_queue=task_queue):
        yield run


@pytest.fixture
async def run(server: EmbeddedServer, task_queue: str, sqlite: Store) -> AsyncIterator[Run]:
    async with _agency(server, task_queue) as run:
        yield run


def _states(store: Store, trip_id: str) -> dict[str | None, str]:
    rows = store.bookings(trip_id)
    states = {row.kind: row.state for row in rows}
    assert len(states) == len(rows)
    return states


@pytest.mark.parametrize("task", TASKS)
async def test_a_trip_is_booked(run: Run, sqlite: Store, task: str) -> None:
    before = sqlite.left()
    trip_id, output = await run(task, ROME)
    assert output["total"] == 720
    rows = sqlite.bookings(trip_id, [BOOKED])
    assert {(row.kind, row.offer, row.price) for row in rows} == {
        ("flight", "AZ573", 210),
        ("hotel", "artemide", 390),
        ("car", "fiat500", 120),
    }
    assert len(sqlite.bookings(trip_id)) == 3
    taken = {name: before[name] - left for name, left in sqlite.left().items() if left != before[name]}
    assert taken == {"flight AZ573": 1, "hotel artemide": 1, "car fiat500": 1}


@pytest.mark.parametrize("task", TASKS)
async def test_a_trip_over_budget_is_undone(run: Run, sqlite: Store, task: str) -> None:
    before = sqlite.left()
    trip_id, failure = await run(task, TOO_LITTLE)
    assert failure["failure"]["step"] == "plan"
    assert failure["failure"]["type"] == "Rejected"
    assert failure["undone"][0] == "plan"
    assert sorted(failure["undone"]) == ["car", "flight", "hotel", "plan"]
    assert failure["not_undone"] == []
    assert _states(sqlite, trip_id) == {"flight": CANCELLED, "hotel": CANCELLED, "car": CANCELLED}
    assert sqlite.left() == before


@pytest.mark.parametrize("task", TASKS)
async def test_an_overbooked_hotel_undoes_flight_and_car(run: Run, sqlite: Store, task: str) -> None:
    before = sqlite.left()
    trip_id, failure = await run(task, OVERBOOKED)
    assert failure["failure"]["step"] == "hotel"
    assert "sold out" in failure["failure"]["message"]
    assert failure["not_undone"] == []
    states = _states(sqlite, trip_id)
    assert "hotel" not in states
    assert set(states.values()) <= {CANCELLED}
    assert sqlite.left() == before


async def test_no_flight_there_means_no_trip(run: Run, sqlite: Store) -> None:
    before = sqlite.left()
    trip_id, failure = await run("trip.trip", ROME | {"origin": "Nowhere"})
    assert failure["failure"]["step"] == "flight"
    assert sqlite.bookings(trip_id, [BOOKED]) == []
    assert sqlite.left() == before


async def test_trips_side_by_side_do_not_touch_each_other(run: Run, sqlite: Store) -> None:
    before = sqlite.left()
    trips = await asyncio.gather(*(run("trip.trip", wishes) for wishes in [ROME, TOO_LITTLE] * 3))
    booked = [sqlite.bookings(trip_id, [BOOKED]) for trip_id, _ in trips]
    assert [len(rows) for rows in booked] == [3, 0] * 3
    assert sum(before.values()) - sum(sqlite.left().values()) == 9


async def test_a_trip_on_postgresql(
    server: EmbeddedServer, task_queue: str, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIP_DB", _new_database(postgres))
    before = store().left()
    async with _agency(server, task_queue) as run:
        undone, failure = await run("trip.trip", TOO_LITTLE)
        assert failure["not_undone"] == []
        assert _states(store(), undone) == {"flight": CANCELLED, "hotel": CANCELLED, "car": CANCELLED}
        assert store().left() == before
        done, output = await run("trip.trip", ROME)
    assert output["total"] == 720
    assert _states(store(), done) == {"flight": BOOKED, "hotel": BOOKED, "car": BOOKED}


# --- models that do not do as they say


def _agent(body: dict[str, Any]) -> str:
    system = body["messages"][0]["content"]
    words = {"You book flights": "flight", "You book hotel": "hotel", "You book hire": "car"}
    return next((agent for start, agent in words.items() if system.startswith(start)), "planner")


def _results(body: dict[str, Any]) -> list[Any]:
    return [json.loads(message["content"]) for message in body["messages"] if message["role"] == "tool"]


def _honest(body: dict[str, Any]) -> Behaviour:
    """Books what it is asked to, with knowledge of the offers instead of a search."""
    agent, results = _agent(body), _results(body)
    if results:
        return Behaviour.json(results[-1])
    if agent == "planner":
        return Behaviour.calls(call("total_price", **json.loads(body["messages"][1]["content"])))
    offer = {"flight": "LX1726", "hotel": "artemide", "car": "fiat500"}[agent]
    return Behaviour.calls(call(f"book_{agent}", offer=offer))


def _claims_a_room(body: dict[str, Any]) -> Behaviour:
    if _agent(body) == "hotel":
        return Behaviour.json({"booking_id": 1, "kind": "hotel", "what": "Hotel Artemide", "price": 1})
    return _honest(body)


def _books_twice(body: dict[str, Any]) -> Behaviour:
    if _agent(body) == "car" and not _results(body):
        return Behaviour.calls(call("book_car", offer="fiat500"), call("book_car", offer="fiat500"))
    return _honest(body)


def _embellishes_the_total(body: dict[str, Any]) -> Behaviour:
    if _agent(body) == "planner":
        return Behaviour.json({"total": 1, "summary": "A bargain."})
    return _honest(body)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("model", "step"),
    [(_honest, None), (_claims_a_room, "hotel"), (_books_twice, "car"), (_embellishes_the_total, "plan")],
)
async def test_models_are_checked_against_the_database(
    server: EmbeddedServer,
    task_queue: str,
    sqlite: Store,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    model: Callable[[dict[str, Any]], Behaviour],
    step: str | None,
) -> None:
    before = sqlite.left()
    async with ModelServer() as models, _agency(server, task_queue, "openai/gpt-test") as run:
        for name, value in models.environment.items():
            monkeypatch.setenv(name, value)
        models.default = model
        trip_id, outcome = await run(task, ROME)
    booked = sqlite.bookings(trip_id, [BOOKED])
    if step is None:
        assert outcome["total"] == 240 + 390 + 120
        assert len(booked) == 3
        return
    # In Python the sum is checked by the workflow itself, after its last step.
    assert outcome["failure"]["step"] == (step if task == "trip.trip" or step != "plan" else "")
    assert outcome["not_undone"] == []
    assert booked == []
    assert sqlite.left() == before
