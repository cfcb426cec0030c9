"""The example `trip`: what stands in its database after each way in which a trip can end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agency import (
    OVERBOOKED,
    ROME,
    TASKS,
    TOO_LITTLE,
    Run,
    agency,
    states_of,
)
from examples.trip.store import BOOKED, CANCELLED, Store, store


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TRIP_DB", str(tmp_path / "trip.sqlite"))
    return store()


@pytest.fixture
async def run(server: EmbeddedServer, task_queue: str, sqlite: Store) -> AsyncIterator[Run]:
    async with agency(server, task_queue) as run:
        yield run


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
    assert states_of(sqlite, trip_id) == {"flight": CANCELLED, "hotel": CANCELLED, "car": CANCELLED}
    assert sqlite.left() == before


@pytest.mark.parametrize("task", TASKS)
async def test_an_overbooked_hotel_undoes_flight_and_car(run: Run, sqlite: Store, task: str) -> None:
    before = sqlite.left()
    trip_id, failure = await run(task, OVERBOOKED)
    assert failure["failure"]["step"] == "hotel"
    assert "sold out" in failure["failure"]["message"]
    assert failure["not_undone"] == []
    states = states_of(sqlite, trip_id)
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
    async with ModelServer() as models, agency(server, task_queue, "openai/gpt-test") as run:
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
