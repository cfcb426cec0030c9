"""The planned tour of the example `trip`: what a new plan cancels, and what stays booked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from temporalio.client import WorkflowHandle
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.saga.limits import history_size
from counterstep.tests.support.bundles.agency import client_of, work_as_agency
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked
from examples.database import FENCED
from examples.trip.store import BOOKED, CANCELLED, Store, store
from examples.trip.tools import SILENT

pytestmark = pytest.mark.long

SPEC = Path(__file__).parents[3] / "examples" / "trip" / "tour.yaml"
WISHES = {"origin": "Zurich", "budget": 1500}
CLOSED = {"closed": ["davanzati"]}
FIRST = {
    "flight": "AZ573",
    "hotel_rome": "artemide",
    "museum_rome": "borghese",
    "dinner_rome": "da_enzo",
    "train": "FR9410",
    "hotel_florence": "davanzati",
    "museum_florence": "uffizi",
    "dinner_florence": "mario",
    "train_back": "FR9443",
}
"""The cheapest of each; tables are booked last here, and the train back after them."""

UNMOVED = {"AZ573", "artemide", "borghese", "FR9410", "uffizi"}
"""What a new hotel in Florence leaves alone, of what is booked in the middle."""
ONCE_BUT_THE_HOTEL = Counter({**dict.fromkeys(FIRST, 1), "hotel_florence": 2})

Rows = dict[str, tuple[str, int]]


@pytest.fixture
def agency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TRIP_DB", str(tmp_path / "trip.sqlite"))
    return store()


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Lets the restaurants answer; until then none does."""
    file = tmp_path / "silent"
    file.touch()
    monkeypatch.setenv(SILENT, str(file))
    yield lambda: file.unlink(missing_ok=True)
    file.unlink(missing_ok=True)


@pytest.fixture
async def tours(server: EmbeddedServer, task_queue: str, agency: Store) -> AsyncIterator[Tasks]:
    client = await client_of(server.address)
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


async def tour(tours: Tasks, wishes: dict[str, Any] = WISHES, **on: Any) -> WorkflowHandle[Any, Any]:
    """Starts the tour; `on` are other ends of its plan, as `on_reject`."""
    document = yaml.safe_load(SPEC.read_text())
    document["steps"][0] |= on
    message = {"spec": document, "input": wishes}
    return await tours.client.start_workflow(
        "AgentTask", message, id=f"tour-{uuid4().hex}", task_queue=tours.task_queue
    )


def rows(agency: Store, tour_id: str) -> Rows:
    """The bookings that stand, as kind and offer -> number."""
    found = agency.bookings(tour_id, [BOOKED])
    assert len({row.offer for row in found}) == len(found), "nothing is booked twice"
    return {str(row.offer): (str(row.kind), row.booking_id) for row in found}


async def until(what: Callable[[], bool], seconds: float = 60) -> None:
    for _ in range(int(seconds / 0.05)):
        if what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it has not come to that")


async def until_the_middle(agency: Store, handle: WorkflowHandle[Any, Any]) -> Rows:
    """Waits until all is booked that does not wait for a restaurant."""
    await until(lambda: len(rows(agency, handle.id)) == 6)
    return rows(agency, handle.id)


async def calls_of(handle: WorkflowHandle[Any, Any]) -> Counter[str]:
    """How often each operation was called, by the histories of all runs of the task."""
    found: Counter[str] = Counter()
    client = handle._client
    async for run in client.list_workflows(f'WorkflowId = "{handle.id}"'):
        history = await client.get_workflow_handle(handle.id, run_id=run.run_id).fetch_history()
        for event in history.events:
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name.startswith("trip.book_"):
                found[scheduled.activity_id.partition("[")[2].partition("]")[0]] += 1
    return found


def is_as_repaired(agency: Store, handle: WorkflowHandle[Any, Any], before: Rows) -> None:
    """Checks that another hotel is booked, and that the rest has the numbers that it had."""
    after = rows(agency, handle.id)
    assert after.keys() == {*FIRST.values()} - {"davanzati"} | {"brunelleschi"}
    assert before.keys() == UNMOVED | {"davanzati"}
    assert {offer: after[offer] for offer in UNMOVED} == {offer: before[offer] for offer in UNMOVED}
    assert [row.offer for row in agency.bookings(handle.id, [CANCELLED])] == ["davanzati"]
    assert agency.bookings(handle.id, [FENCED]) == []


async def test_a_hotel_closes_in_the_middle_of_a_tour(
    tours: Tasks, agency: Store, answer: Callable[[], None]
) -> None:
    shelf = agency.left()
    handle = await tour(tours)
    before = await until_the_middle(agency, handle)
    assert (await tell(handle, "amend", facts=CLOSED))["affected"] == ["plan", "ops"]
    await until(lambda: "brunelleschi" in rows(agency, handle.id))
    answer()
    end = await end_of(handle)
    assert end.type == "completed", end.message
    is_as_repaired(agency, handle, before)
    assert end.output["total"] == 210 + 390 + 27 + 80 + 45 + 520 + 29 + 50 + 45
    taken = {name for name, left in agency.left().items() if left != shelf[name]}
    assert taken == {f"{kind} {offer}" for offer, (kind, _) in rows(agency, handle.id).items()}
    assert await calls_of(handle) == ONCE_BUT_THE_HOTEL


async def test_a_tour_that_cannot_be_repaired_is_undone(
    tours: Tasks, agency: Store, answer: Callable[[], None]
) -> None:
    shelf = agency.left()
    handle = await tour(tours, WISHES | {"budget": 1200})
    await until_the_middle(agency, handle)
    await tell(handle, "amend", facts=CLOSED)
    answer()
    end = await end_of(handle)
    assert (end.type, end.failure["step"], end.failure["type"]) == ("SagaRolledBack", "plan", "Rejected")
    assert "it costs 1396 EUR, and the budget is 1200 EUR" in end.failure["message"]
    assert end.details["not_undone"] == []
    assert rows(agency, handle.id) == {}
    assert agency.left() == shelf


async def test_a_tour_that_cannot_be_repaired_is_a_matter_of_a_person(
    tours: Tasks, agency: Store, answer: Callable[[], None]
) -> None:
    handle = await tour(tours, WISHES | {"budget": 1200}, on_reject="escalate")
    before = await until_the_middle(agency, handle)
    await tell(handle, "amend", facts=CLOSED)
    await until_asked(handle, "plan", "1396 EUR")
    assert rows(agency, handle.id).items() >= before.items(), "nothing is undone before that is decided"
    await tell(handle, "amend", facts={"budget": 1400}, note="then it is a birthday present")
    answer()
    end = await end_of(handle)
    assert end.type == "completed", end.message
    is_as_repaired(agency, handle, before)


async def test_a_table_that_is_gone_is_another_table(
    tours: Tasks, agency: Store, answer: Callable[[], None]
) -> None:
    handle = await tour(tours)
    before = await until_the_middle(agency, handle)
    agency.sell_out("table", "mario")
    answer()
    end = await end_of(handle)
    assert end.type == "completed", end.message
    after = rows(agency, handle.id)
    assert after.keys() == {*FIRST.values()} - {"mario"} | {"zaza"}
    assert after.items() >= before.items()
    assert (await calls_of(handle))["dinner_rome"] == 1


async def test_a_tour_goes_on_in_another_run(
    tours: Tasks, agency: Store, answer: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await tour(tours)
    before = await until_the_middle(agency, handle)
    monkeypatch.setattr(history_size, "LONG_EVENTS", 40)
    await tell(handle, "amend", facts=CLOSED)
    answer()
    end = await end_of(handle)
    assert end.type == "completed", end.message
    is_as_repaired(agency, handle, before)
    assert await calls_of(handle) == ONCE_BUT_THE_HOTEL
    runs = [run async for run in tours.client.list_workflows(f'WorkflowId = "{handle.id}"')]
    assert len(runs) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before the news", "with the news"])
async def test_the_worker_is_killed_in_the_middle_of_a_tour(
    server: EmbeddedServer, task_queue: str, agency: Store, answer: Callable[[], None], when: str
) -> None:
    tours = Tasks(await client_of(server.address), task_queue)
    with worker_process(server.address, task_queue, work_as_agency) as worker:
        handle = await tour(tours)
        before = await until_the_middle(agency, handle)
        if when == "with the news":
            await tell(handle, "amend", facts=CLOSED)
        worker.kill()
    with worker_process(server.address, task_queue, work_as_agency):
        if when == "before the news":
            await tell(handle, "amend", facts=CLOSED)
        await until(lambda: "brunelleschi" in rows(agency, handle.id))
        answer()
        end = await end_of(handle)
    assert end.type == "completed", end.message
    is_as_repaired(agency, handle, before)
    assert await calls_of(handle) == ONCE_BUT_THE_HOTEL
