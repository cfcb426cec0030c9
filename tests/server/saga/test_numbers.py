"""Many items: what is under way, and done, at a time stays under what the server and the SDK take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.saga.temporal import load, pace, rest
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.histories.replay import replayer_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import act
from counterstep.tests.support.tasks.workers import errand_worker
from counterstep.tests.support.workflows.sagas import Errand

pytestmark = pytest.mark.long

EACH = {"id": "each", "for_each": "task.items", "tool": "desk.put_async", "input": {"what": "w${{ item }}"}}
FAIL = {"id": "end", "needs": ["each"], "tool": "desk.put", "input": {"what": "end", "fail": "not_applied"}}
LATER = "goes on with what is much at once"


async def history_of(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


def under_way(events: list[HistoryEvent], *, undos: bool) -> int:
    """The most calls, or undos, that were under way at one time."""
    running: set[int] = set()
    most = 0
    for event in events:
        attributes = getattr(event, str(event.WhichOneof("attributes")))
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            if attributes.activity_id.partition("#")[0].endswith("/undo") == undos:
                running.add(event.event_id)
        elif event.event_type in (
            EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
            EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
            EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
        ):
            running.discard(attributes.scheduled_event_id)
        most = max(most, len(running))
    return most


def children_under_way(events: list[HistoryEvent]) -> int:
    """The most children that ran at one time."""
    running = most = 0
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            running += 1
        elif event.event_type in (
            EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
            EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
            EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
        ):
            running -= 1
        most = max(most, running)
    return most


def rests(events: list[HistoryEvent]) -> int:
    """How often the task has gone on in a later workflow task."""
    started = EventType.EVENT_TYPE_TIMER_STARTED
    return sum(
        1 for e in events if e.event_type == started and LATER.encode() in e.user_metadata.summary.data
    )


def failed_tasks(events: list[HistoryEvent]) -> int:
    return sum(1 for e in events if e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Five side by side in place of hundreds: what happens above the bound is the same."""
    monkeypatch.setattr(load, "SIDE_BY_SIDE", 5)
    yield 5


async def test_calls_and_undos_are_made_in_portions(tasks: Tasks, effects: Desk, few_at_once: int) -> None:
    handle = await tasks.start([EACH, FAIL], {"items": list(range(40))})
    assert (await end_of(handle)).type == "SagaRolledBack"
    events = await history_of(handle)
    assert (under_way(events, undos=False), under_way(events, undos=True)) == (few_at_once, few_at_once)
    assert (
        sorted(effects.what("done")) == sorted(effects.what("undone")) == sorted(f"w{i}" for i in range(40))
    )
    assert effects.effects() == {}
    await replayer_of().replay_workflow(await handle.fetch_history())


async def test_a_failure_reaches_those_that_wait_for_their_turn(
    tasks: Tasks, effects: Desk, few_at_once: int
) -> None:
    each = {
        **EACH,
        "tool": "desk.put",
        "input": {"what": "w${{ item }}", "fail": "${{ item == 3 ? 'final' : '' }}"},
    }
    handle = await tasks.start([each], {"items": list(range(200))})
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert len(effects.what("done")) < 30, "nothing new is called once one has failed"
    assert effects.effects() == {}


async def test_a_cancel_reaches_those_that_wait_for_their_turn(
    tasks: Tasks, effects: Desk, few_at_once: int
) -> None:
    look = {
        "id": "look",
        "for_each": "task.items",
        "tool": "desk.look",
        "input": {"what": "x", "delay": HELD},
    }
    handle = await tasks.start([look], {"items": list(range(50))})
    await effects.until("look", "x")
    await handle.cancel()
    effects.release("x")
    assert (await end_of(handle)).type == "cancelled"
    assert len([e for e in await history_of(handle) if e.event_type == 10]) <= few_at_once


async def test_children_run_in_portions(tasks: Tasks, effects: Desk, few_at_once: int) -> None:
    step = {
        "id": "kids",
        "for_each": "task.items",
        "workflow": "desk.tidy",
        "input": {"what": "w${{ item }}"},
    }
    handle = await tasks.start([step], {"items": list(range(8))})
    assert (await end_of(handle)).type == "completed"
    assert children_under_way(await history_of(handle)) == few_at_once


async def test_a_partial_rollback_is_made_in_portions(tasks: Tasks, effects: Desk, few_at_once: int) -> None:
    group = {
        "id": "all",
        "group": {"steps": [EACH, {**FAIL, "input": {"what": "end", "fail": "final"}}]},
        "on_failure": "skip",
    }
    handle = await tasks.start([group, {**EACH, "id": "more", "needs": ["all"]}], {"items": list(range(20))})
    assert (await end_of(handle)).type == "completed"
    assert under_way(await history_of(handle), undos=True) == few_at_once
    assert sorted(effects.effects()) == sorted(f"w{i}" for i in range(20))


@pytest.mark.parametrize("number", [150, pytest.param(400, marks=pytest.mark.slow)])
async def test_many_expressions_over_a_large_list_are_spread(
    tasks: Tasks, effects: Desk, number: int
) -> None:
    """Of 400 rows each expression reads 600 kB: that takes seconds, but never two at once."""
    rank = {
        "id": "rank",
        "for_each": "task.rows",
        "tool": "desk.look",
        "input": {"what": "${{ string(size(task.rows.filter(other, other.id < item.id))) }}"},
    }
    rows = [{"id": i, "text": "x" * 1500} for i in range(number)]
    handle = await tasks.start([rank], {"rows": rows}, output="${{ size(steps.rank.output) }}")
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", number)
    events = await history_of(handle)
    assert failed_tasks(events) == 0
    assert rests(events) >= 3
    assert sorted(map(int, effects.what("look"))) == list(range(number))
    await replayer_of().replay_workflow(await handle.fetch_history())


async def test_an_evaluation_that_would_take_too_long_is_refused(tasks: Tasks, effects: Desk) -> None:
    steps = [
        {"id": "a", "tool": "desk.put", "input": {"what": "a"}},
        {
            "id": "slow",
            "needs": ["a"],
            "tool": "desk.look",
            "input": {"what": "${{ string(size(task.rows.map(x, x))) }}"},
        },
    ]
    # It is refused by its size, before any of it is done: a second of work can take three on a busy machine.
    handle = await tasks.start(steps, {"rows": [{"a": i, "b": {"c": i}} for i in range(7000)]})
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ExpressionError")
    assert "it would take more than a second" in end.message
    events = await history_of(handle)
    # Reading thousands of rows at the start can itself take two seconds where six processes share two cores.
    begun = next(i for i, e in enumerate(events) if e.HasField("activity_task_scheduled_event_attributes"))
    assert failed_tasks(events[begun:]) == 0
    assert effects.effects() == {}


async def test_the_holes_of_one_template_are_spread(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PORTION", 10_000)
    hole = "${{ size(task.rows.filter(x, x > 3)) }}"
    step = {"id": "a", "tool": "desk.put", "input": {"what": f"{hole}-{hole}-{hole}"}}
    handle = await tasks.start([step], {"rows": list(range(1000))})
    assert (await end_of(handle)).type == "completed"
    assert rests(await history_of(handle)) == 3, "before the second, the third, and the call"
    assert effects.what("done") == ["996-996-996"]


async def test_the_end_of_a_call_is_the_end_of_a_rest(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PORTION", 10_000)
    monkeypatch.setattr(rest, "_SOON", timedelta(hours=1))
    hole = "${{ size(task.rows.filter(x, x > 3)) }}"
    steps = [
        {"id": "soon", "tool": "desk.look", "input": {"what": "soon", "delay": 0.3}},
        {"id": "later", "tool": "desk.look", "input": {"what": "later", "delay": 1}},
        {"id": "much", "tool": "desk.put", "input": {"what": f"{hole}-{hole}"}},
    ]
    handle = await tasks.start(steps, {"rows": list(range(1000))})
    end = await asyncio.wait_for(end_of(handle), 60)
    assert end.type == "completed"
    assert rests(await history_of(handle)) == 2, "before the second, and the call"


async def test_many_waits_that_look_at_many_events_are_spread(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PORTION", 3_000)
    wait = {"id": "w", "for_each": "task.items", "wait": {"event": "go", "where": "event.id == item"}}
    handle = await tasks.start([wait], {"items": list(range(30))}, output="${{ steps.w.output }}")
    for number in range(30):
        await handle.signal("event", {"name": "go", "payload": {"id": number}})
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", [{"id": number} for number in range(30)])
    events = await history_of(handle)
    assert rests(events) > 2
    assert failed_tasks(events) == 0
    await replayer_of().replay_workflow(await handle.fetch_history())


async def test_too_many_items_are_refused(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "MAX_ITEMS", 30)
    end = await tasks.run([EACH], {"items": list(range(31))})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ExpressionError")
    assert "gives 31 items; the most is 30" in end.message
    assert effects.what("done") == []


async def test_below_the_bounds_nothing_rests(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([EACH], {"items": list(range(100))})
    assert (await end_of(handle)).type == "completed"
    assert rests(await history_of(handle)) == 0


@pytest.mark.slow
async def test_more_calls_than_the_server_takes_at_once(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([EACH, FAIL], {"items": list(range(2100))})
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert len(effects.what("done")) == len(effects.what("undone")) == 2100
    assert effects.effects() == {}
    assert failed_tasks(await history_of(handle)) == 0


@pytest.mark.slow
async def test_thousands_of_fast_calls_of_a_saga_at_once(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    """So fast that the server would fail workflow tasks, were hundreds of them under way."""
    looks = [act("look", f"w{number}") for number in range(5000)]
    async with errand_worker(server.address, task_queue) as tasks:
        handle = await tasks.start_workflow("Errand", [{"gather": looks}])
        assert (await end_of(handle)).type == "completed"
    assert len(effects.what("look")) == 5000
    assert failed_tasks(await history_of(handle)) <= 2


async def test_the_calls_of_a_saga_are_spread_before_the_first_is_made(
    server: EmbeddedServer, task_queue: str, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "PORTION", 3_000)
    async with errand_worker(server.address, task_queue) as tasks:
        handle = await tasks.start_workflow("Errand", [{"gather": [act("look", "x") for _ in range(30)]}])
        assert (await end_of(handle)).type == "completed"
    events = await history_of(handle)
    first = next(i for i, e in enumerate(events) if e.HasField("activity_task_scheduled_event_attributes"))
    assert rests(events[:first]) >= 1
    assert rests(events) < 30, "while calls are under way, the end of one is the end of a rest"
    await replayer_of(Errand).replay_workflow(await handle.fetch_history())
