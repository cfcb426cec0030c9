"""G10 and G13: a task that has continued as new is recovered, also where its earlier runs are gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep.embedded import EmbeddedServer, lifecycle
from counterstep.saga.agents import agent_loop
from counterstep.saga.engine import continue_as_new
from counterstep.saga.limits import history_size
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.agents import step as ask
from counterstep.tests.support.bundles.agents import team_at_work, until
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.bundles.vault import Drawer, vault
from counterstep.tests.support.tasks.recovery import delete, nest_worker, recover, refusal_of, rest
from counterstep.tests.support.tasks.tasks import Tasks, tell, until_state
from counterstep.tests.support.tasks.work import child, put, step

pytestmark = pytest.mark.long

ALPHABET = "abcdefghijkl"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """A server that deletes a run when it is told to, and not at the next of its minutes."""
    at_once = [
        f'--dynamic-config-value=history.{kind}ProcessorUpdateAckInterval="100ms"'
        for kind in ("transfer", "visibility", "timer")
    ]
    plain = lifecycle._arguments
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "_arguments", lambda *given: [*plain(*given), *at_once])
        with temporal_server() as server:
            yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories count as long after a few steps."""
    monkeypatch.setattr(history_size, "LONG_EVENTS", 40)


def line(*steps: dict[str, Any]) -> list[dict[str, Any]]:
    """Steps one after the other."""
    return [{**step, "needs": [steps[at - 1]["id"]] if at else []} for at, step in enumerate(steps)]


def newest(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> WorkflowHandle[Any, Any]:
    return tasks.client.get_workflow_handle(handle.id)


async def forget(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> int:
    """Deletes all runs but the newest, as the end of their retention does; returns how many there were."""
    current = (await newest(tasks, handle).describe()).run_id
    gone, run_id = 0, current
    while True:
        start = await anext(tasks.client.get_workflow_handle(handle.id, run_id=run_id).fetch_history_events())
        before = start.workflow_execution_started_event_attributes.continued_execution_run_id
        if run_id != current:
            await delete(tasks.client, handle, run_id)
            gone += 1
        if not before:
            return gone
        run_id = before


async def end_at_rest(tasks: Tasks, effects: Desk, handle: WorkflowHandle[Any, Any]) -> None:
    await effects.until("look", "rest")
    await newest(tasks, handle).terminate("a test")
    effects.release("rest")


FORGETFUL = pytest.mark.parametrize("forgetful", [False, True], ids=["all", "newest"])


@FORGETFUL
async def test_what_all_runs_have_done_is_undone(tasks: Tasks, effects: Desk, forgetful: bool) -> None:
    handle = await tasks.start(line(*map(put, ALPHABET), rest()))
    await end_at_rest(tasks, effects, handle)
    if forgetful:
        assert await forget(tasks, handle) >= 1
    keys = {event.what: event.key for event in effects.events("done")}
    done = await recover(tasks, handle)
    assert (done.state, done.undone) == ("completed", tuple(reversed(ALPHABET)))
    assert effects.what("undone") == list(reversed(ALPHABET))
    assert {event.what: event.key for event in effects.events("undone")} == keys
    assert effects.effects() == {}


@FORGETFUL
async def test_what_was_side_by_side_and_what_was_undone_before(
    tasks: Tasks, effects: Desk, forgetful: bool
) -> None:
    """The order among the earlier calls is that of the ledger, and one of them is undone already."""
    first = [
        put("a"),
        put("b", "a", undo_delay=0.5),
        put("c"),
        {**put("d", "c", fail="final"), "on_failure": "skip"},
    ]
    more = line(*map(put, "efghijkl"))
    more[0]["needs"] = ["b", "c", "d"]
    handle = await tasks.start([*first, *more, {**rest(), "needs": ["l"]}])
    await end_at_rest(tasks, effects, handle)
    if forgetful:
        assert await forget(tasks, handle) >= 1
    assert effects.what("undone") == ["d"]
    assert (await recover(tasks, handle)).state == "completed"
    undone = effects.what("undone")
    assert sorted(undone) == list(ALPHABET)
    assert undone[1:9] == list("lkjihgfe")
    assert undone.index("b") < undone.index("a")
    if forgetful:  # where the calls themselves are known, what began later may have built on what had ended
        assert undone.index("c") < undone.index("b"), "they were side by side"
    assert effects.effects() == {}


@FORGETFUL
async def test_what_was_handed_over_by_a_child_of_an_earlier_run(
    server: EmbeddedServer, task_queue: str, effects: Desk, forgetful: bool
) -> None:
    async with nest_worker(server, task_queue) as tasks:
        handle = await tasks.start(line(put("a"), child("mid", "nest.middle"), *map(put, "bcdefgh"), rest()))
        await end_at_rest(tasks, effects, handle)
        if forgetful:
            assert await forget(tasks, handle) >= 1
        done = await recover(tasks, handle)
        assert done.undone == (*"hgfedcb", "mid", "a")
        assert effects.what("undone") == [*"hgfedcb", "m2", "i3", "i2", "i1", "m1", "a"]
        assert effects.effects() == {}


@FORGETFUL
async def test_what_only_the_workers_can_read_of_a_continued_run(
    server: EmbeddedServer, task_queue: str, effects: Desk, forgetful: bool
) -> None:
    async with nest_worker(server, task_queue, vault(Drawer())) as tasks:
        handle = await tasks.start(line(*map(put, ALPHABET), rest()))
        await end_at_rest(tasks, effects, handle)
        if forgetful:
            assert await forget(tasks, handle) >= 1
        done = await recover(tasks, handle)
        assert (done.state, done.not_undone) == ("completed", ())
        assert effects.what("undone") == list(reversed(ALPHABET))


async def test_a_ledger_on_pages(tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continue_as_new, "MAX_PAYLOAD", 9_000)
    handle = await tasks.start_workflow("desk.long", {"n": 12, "rest": True})
    await end_at_rest(tasks, effects, handle)
    assert await forget(tasks, handle) == 1
    assert (await recover(tasks, handle)).state == "completed"
    undone = effects.what("undone")
    assert (len(undone), undone[0], undone[-2:]) == (15, "last", ["two", "one"])
    assert effects.effects() == {}


async def test_what_came_before_a_pivot_stays_though_its_run_is_gone(tasks: Tasks, effects: Desk) -> None:
    tell_all = [step(name, "desk.announce") for name in ALPHABET]
    handle = await tasks.start(line(put("x"), step("y", "desk.hand_over"), *tell_all, rest()))
    await end_at_rest(tasks, effects, handle)
    assert await forget(tasks, handle) >= 1
    assert await refusal_of(tasks, handle) == "PivotPassed"
    assert {"x", "y"} <= effects.effects().keys()


async def test_what_a_person_has_left_stays_though_its_run_is_gone(tasks: Tasks, effects: Desk) -> None:
    left = {**put("x", fail="final", undo="broken"), "on_failure": "skip"}
    handle = await tasks.start(line(left, *map(put, ALPHABET), rest()))
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="x", action="skip", note="it may stay")
    await end_at_rest(tasks, effects, handle)
    assert await forget(tasks, handle) >= 1
    effects.repair("x")
    done = await recover(tasks, handle)
    assert (done.undone, done.not_undone) == (tuple(reversed(ALPHABET)), ("x",))
    assert list(effects.effects()) == ["x"]


async def test_a_conversation_that_went_on_in_a_child(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    monkeypatch.setattr(history_size, "LONG_EVENTS", 10_000)
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 2)
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        calls = [Behaviour.calls(call("put", what=f"t{n}")) for n in range(6)]
        models.for_model("tireless").reply(*calls, Behaviour.json({"placed": ["t"]}))
        handle = await tasks.start([ask("tireless"), step("rest", "desk.look", "tireless", delay=HELD)])
        await end_at_rest(tasks, effects, handle)
        assert (await recover(tasks, handle)).undone == ("tireless",)
        assert effects.what("undone") == [f"t{n}" for n in reversed(range(6))]


async def test_a_conversation_in_a_child_whose_earlier_runs_are_gone(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    monkeypatch.setattr(history_size, "LONG_EVENTS", 10_000)
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 2)
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        calls = [Behaviour.calls(call("put", what=f"t{n}")) for n in range(7)]
        models.for_model("tireless").reply(*calls, Behaviour.json({"placed": ["t"]}).with_(delay=10))
        handle = await tasks.start([put("a"), {**ask("tireless"), "needs": ["a"]}])
        await until(models, 8)
        below = tasks.client.get_workflow_handle(f"{handle.id}/tireless/talk#1")
        await below.terminate()
        assert await forget(tasks, below) >= 1
        await handle.terminate()
        done = await recover(tasks, handle)
        assert done.state == "completed"
        assert effects.what("undone") == [*(f"t{n}" for n in reversed(range(7))), "a"]
        assert effects.effects() == {}
