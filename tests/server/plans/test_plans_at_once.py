"""Plans of a saga of one's own that are changed, undone or given up while they run: one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import act
from counterstep.tests.support.tasks.workers import errand_worker


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


def op(id_: str, *after: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id_, "tool": "desk.put", "input": {"what": id_, **arguments}, "after": list(after)}


def later(*acts: dict[str, Any]) -> dict[str, Any]:
    """Acts that begin when the test says so, beside others."""
    return {"in turn": [{"wait": {"event": "go"}}, *acts]}


async def begun(tasks: Tasks, *acts: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    return await tasks.start_workflow("Errand", list(acts))


async def go(handle: WorkflowHandle[Any, Any]) -> None:
    """Has what is `later` begin, and waits until it has."""
    await handle.signal("event", {"name": "go"})
    await handle.query("board")


async def test_two_plans_of_one_name_at_once_are_run_one_after_the_other(tasks: Tasks, effects: Desk) -> None:
    first, second = [op("a"), op("b", delay=HELD)], [op("a"), op("c")]
    handle = await begun(tasks, {"gather": [{"plan": first}, later({"plan": second})]})
    await effects.until("begin", "b")
    await go(handle)
    effects.release("b")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert end.output == [[{"a": "a", "b": "b"}, [None, {"a": "a", "c": "c"}]]]
    assert sorted(effects.effects()) == ["a", "c"], "the last plan counts"
    assert Counter(effects.what("begin")) == {"a": 1, "b": 1, "c": 1}
    assert effects.what("undone") == ["b"]


async def test_a_plan_is_changed_while_another_change_undoes(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a", undo_delay=HELD), op("b", "a")]
    first, second = [op("a", size=1), op("b", "a")], [op("a", size=2), op("c", "a")]
    handle = await begun(tasks, {"plan": plan}, {"gather": [{"plan": first}, later({"plan": second})]})
    await effects.until("undo", "a")
    await go(handle)
    effects.release("undo a")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert sorted(effects.effects()) == ["a", "c"]
    assert Counter(effects.what("begin")) == {"a": 3, "b": 1, "c": 1}
    keys = [event.key for event in effects.events("undone")]
    assert len(keys) == len(set(keys)) == 3, "nothing is undone twice"


async def test_an_operation_that_is_undone_while_its_plan_runs_stays_undone(
    tasks: Tasks, effects: Desk
) -> None:
    plan = [op("a"), op("b", delay=HELD)]
    handle = await begun(tasks, {"gather": [{"plan": plan}, later({"undo": "a"})]})
    await effects.until("begin", "b")
    await effects.until("done", "a")
    await go(handle)
    effects.release("b")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert list(effects.effects()) == ["b"]
    assert Counter(effects.what("begin")) == {"a": 1, "b": 1}


async def test_what_a_running_plan_builds_on_is_undone_after_the_plan(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a", delay=HELD, undo_delay=0.5), op("b", "a")]
    handle = await begun(tasks, act("put", "x"), {"gather": [{"plan": plan}, later({"undo": "put"})]})
    await effects.until("begin", "a")
    await go(handle)
    effects.release("a")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert effects.effects() == {}
    assert effects.what("undone") == ["b", "a", "x"]


async def test_what_a_changed_plan_undoes_comes_to_its_end_first(tasks: Tasks, effects: Desk) -> None:
    bill = act("put", "bill", late=HELD)
    handle = await begun(tasks, {"plan": [op("a")]}, {"gather": [bill, later({"plan": [op("a", size=1)]})]})
    await effects.until("begin", "bill")
    await go(handle)
    effects.release("bill")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert list(effects.effects()) == ["a"]
    assert effects.what("undone") == ["bill", "a"]


async def test_a_plan_that_was_undone_with_the_one_it_built_on_is_done_again(
    tasks: Tasks, effects: Desk
) -> None:
    built = {"plan": [op("roof")], "step": "more"}
    end = await end_of(await begun(tasks, {"plan": [op("a")]}, built, {"plan": [op("a", size=1)]}, built))
    assert end.type == "completed", end.message
    assert sorted(effects.effects()) == ["a", "roof"]
    assert Counter(effects.what("begin")) == {"a": 2, "roof": 2}
    assert effects.what("undone") == ["roof", "a"]


GIVEN_UP = {"within": 1, "do": {"plan": [op("a"), op("b", delay=HELD)]}}


@pytest.mark.parametrize(
    ("amended", "again"),
    [([op("a"), op("c")], set()), ([op("a"), op("b", delay=HELD), op("c")], {"b"})],
)
async def test_a_plan_that_the_workflow_had_turned_its_back_on_is_taken_up_again(
    tasks: Tasks, effects: Desk, amended: list[dict[str, Any]], again: set[str]
) -> None:
    handle = await begun(tasks, GIVEN_UP, act("put", "next"), {"plan": amended}, act("put", "end"))
    await effects.until("done", "next")
    effects.release("b")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert end.output[0] == "too late"
    assert sorted(effects.effects()) == sorted({"a", "c", "next", "end", *again})
    assert Counter(effects.what("begin"))["a"] == 1, "what was done in time is kept"
    assert effects.what("undone") == ["b"]


async def test_a_plan_that_the_workflow_has_turned_its_back_on_is_undone_at_the_end(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await begun(tasks, GIVEN_UP, act("put", "next"))
    await effects.until("done", "next")
    effects.release("b")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert list(effects.effects()) == ["next"]
    assert sorted(effects.what("undone")) == ["a", "b"]


async def test_a_cancel_while_a_change_waits_for_its_turn(tasks: Tasks, effects: Desk) -> None:
    first, second = [op("a"), op("b", delay=HELD)], [op("a"), op("c")]
    handle = await begun(tasks, {"gather": [{"plan": first}, later({"plan": second})]})
    await effects.until("begin", "b")
    await go(handle)
    await handle.cancel()
    effects.release("b")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}
    assert Counter(effects.what("begin")) == {"a": 1, "b": 1}


async def test_numbers_that_are_equal_are_the_same_input(tasks: Tasks, effects: Desk) -> None:
    plan, amended = [op("a", delay=0, size=1)], [op("a", delay=0.0, size=1.0)]
    end = await end_of(await begun(tasks, {"plan": plan}, {"plan": amended}))
    assert end.type == "completed", end.message
    assert (effects.what("begin"), effects.what("undone")) == (["a"], [])
