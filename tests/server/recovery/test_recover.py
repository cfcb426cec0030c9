"""G10: what a forced end leaves behind is undone, once, from its history."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle

from counterstep.cli.errors import CommandFailed
from counterstep.cli.operations.recover_task import start_recovery
from counterstep.embedded import EmbeddedServer
from counterstep.histories.run_chain import find_chain
from counterstep.saga.ledger.idempotency import idempotency_key
from counterstep.saga.limits import history_size
from counterstep.saga.record.search_attributes import SAGA_STATE
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.bundles.agents import step as ask
from counterstep.tests.support.bundles.agents import team_at_work, until
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.bundles.vault import Drawer, is_readable, vault
from counterstep.tests.support.histories.history import events_of, reset, undos_in
from counterstep.tests.support.tasks.recovery import (
    brief_worker,
    recover,
    recovery_of,
    refusal_of,
    rest,
    stop_at_rest,
    until_closed,
)
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state
from counterstep.tests.support.tasks.work import act, put, step


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with brief_worker(server.address, task_queue) as tasks:
        yield tasks


def place(id_: str, *needs: str, **arguments: Any) -> dict[str, Any]:
    """A step whose call is given up after 2 s."""
    return step(id_, "brief.place", *needs, **arguments)


async def until_seen(effects: Desk, action: str, what: str, count: int) -> None:
    """Waits until something has happened so often."""
    deadline = time.monotonic() + 30
    while effects.what(action).count(what) < count:
        assert time.monotonic() < deadline, effects.events()
        await asyncio.sleep(0.02)


async def until_shown(handle: WorkflowHandle[Any, Any], state: str) -> None:
    """Waits until a search attribute shows a state; no key is needed to read it."""
    deadline = time.monotonic() + 30
    while (await handle.describe()).typed_search_attributes.get(SAGA_STATE) != state:
        assert time.monotonic() < deadline, f"it is not {state}"
        await asyncio.sleep(0.05)


# --- moments


async def test_between_two_steps(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b", "a", undo_delay=0.3), put("c"))
    keys = {event.what: event.key for event in effects.events("done")}
    done = await recover(tasks, handle)
    assert (done.state, done.exit_code, done.not_undone) == ("completed", 0, ())
    assert sorted(done.undone) == ["a", "b", "c"]
    assert effects.what("undone").index("b") < effects.what("undone").index("a")
    assert effects.effects() == {}
    assert {event.what: event.key for event in effects.events("undone")} == keys
    result = await recovery_of(tasks, handle).result()
    assert (sorted(result["undone"]), result["not_undone"]) == (["a", "b", "c"], [])
    assert '"reason": "failed: Terminated: ' in effects.events("undo")[0].note


async def test_in_a_call_that_lands_late(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), place("b", "a", delay=1.5)])
    begin = await effects.until("begin", "b")
    await handle.terminate()
    done = await recover(tasks, handle)
    assert done.undone == ("b", "a")
    happened = [(event.action, event.what) for event in effects.events("done", "undone")]
    assert happened == [("done", "a"), ("done", "b"), ("undone", "b"), ("undone", "a")]
    assert effects.events("undone")[0].at - begin.at >= 3.9, (
        "its timeout and the grace, from the end of the run"
    )
    assert effects.effects() == {}


async def test_in_a_rollback(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), put("b", "a", undo="broken"), put("c", "b"), put("d", "c", fail="final")]
    handle = await tasks.start(steps)
    await until_state(handle, "needs_attention")
    await handle.terminate()
    assert effects.what("undone") == ["d", "c"]
    effects.repair("b")
    done = await recover(tasks, handle)
    assert done.undone == ("b", "a")
    assert effects.what("undone") == ["d", "c", "b", "a"], "what was undone already is left alone"


async def test_in_an_undo(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), place("b", "a", undo_delay=HELD), put("c", "b", fail="final")])
    begun = await effects.until("undo", "b")
    await handle.terminate()
    effects.release("undo b")
    done = await recover(tasks, handle)
    assert done.undone == ("b", "a")
    assert effects.what("undone") == ["c", "b", "b", "a"]
    again = effects.events("undo")[-2]
    assert (again.what, again.key) == ("b", begun.key)
    assert again.at - begun.at >= 3.9, "not beside the one that was under way"


async def test_before_the_first_call(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects)
    assert await refusal_of(tasks, handle) == "NothingToUndo"


async def test_an_execution_timeout(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.client.start_workflow(
        "Errand",
        [act("put", "a"), {"sleep": 600}],
        id=f"test-{uuid4()}",
        task_queue=tasks.task_queue,
        execution_timeout=timedelta(seconds=2),
    )
    await until_closed(handle)
    done = await recover(tasks, handle)
    assert done.undone == ("put",)
    assert effects.effects() == {}
    assert "TimedOut" in effects.events("undo")[0].note


async def test_a_saga_in_a_workflow_of_ones_own(tasks: Tasks, effects: Desk) -> None:
    acts = [act("put", "a"), act("plain", "b"), {"gather": [act("put", "c"), act("put_async", "d")]}]
    handle = await tasks.start_workflow("Errand", [*acts, act("plain", "e", delay=1, timeout=2)])
    await effects.until("begin", "e")
    await handle.terminate()
    done = await recover(tasks, handle)
    assert done.state == "completed"
    undone = effects.what("undone")
    assert undone[0] == "e"
    assert undone[-2:] == ["b", "a"], "one by one, newest first"
    assert sorted(undone) == ["a", "b", "c", "d", "e"]
    assert effects.effects() == {}


async def test_a_value_that_was_there_before_is_put_back(tasks: Tasks, effects: Desk) -> None:
    first = step("first", "desk.set_label", name="x", value="old")
    del first["input"]["what"]
    second = {**first, "id": "second", "needs": ["first"], "input": {"name": "x", "value": "new"}}
    handle = await stop_at_rest(tasks, effects, first, second)
    await recover(tasks, handle)
    assert effects.what("undone") == ["label x=old", "label x=None"]


async def test_an_agent_with_tools_and_an_undo_of_its_own(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        models.for_model("guarded").reply(
            Behaviour.calls(call("put", what="cup")), Behaviour.json({"placed": ["cup"]})
        )
        handle = await stop_at_rest(tasks, effects, ask("guarded", what="tidy"))
        done = await recover(tasks, handle)
        assert done.undone == ("guarded",)
        assert effects.what("undone") == ["cup", "report"]
        assert effects.events("undone")[1].note == '{"input": {"what": "tidy"}, "placed": ["cup"]}'
        assert effects.effects() == {}


async def test_an_agent_in_the_middle_of_its_conversation(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        models.for_model("guarded").reply(
            Behaviour.calls(call("put", what="cup")), Behaviour.json({"placed": ["cup"]}).with_(delay=3)
        )
        handle = await tasks.start([ask("guarded")])
        await until(models, 2)
        await handle.terminate()
        await recover(tasks, handle)
        assert effects.what("undone") == ["cup", "report"]
        assert effects.events("undone")[1].note == '{"input": {"what": "x"}, "placed": null}'


async def test_a_compensation_is_told_of_the_task_and_not_of_its_recovery(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await stop_at_rest(tasks, effects, place("a"))
    await recover(tasks, handle)
    (told,) = effects.events("told")
    assert (told.what, told.note) == (handle.id, handle.id)


# --- payloads


async def test_what_only_the_workers_can_read(server: EmbeddedServer, task_queue: str, effects: Desk) -> None:
    drawer = Drawer()
    async with brief_worker(server.address, task_queue, vault(drawer)) as tasks:
        nothing = put("nothing", fail="not_applied", **{"undo": "broken"})
        steps = [put("secret", size=5000), {**nothing, "on_failure": "skip"}, put("last", "secret")]
        handle = await stop_at_rest(tasks, effects, *steps)
        events = [event async for event in handle.fetch_history_events()]
        assert not is_readable(events, "secret thing")
        assert drawer.kept
        done = await recover(tasks, handle)  # its client has neither key nor drawer
        assert done.state == "completed"
        assert done.undone == ("last", "secret")
        assert effects.what("undone") == ["last", "secret"]
        assert all('"output": true' in event.note for event in effects.events("undo"))


async def test_a_refused_call_that_only_the_workers_can_read(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    async with brief_worker(server.address, task_queue, vault(Drawer())) as tasks:
        handle = await tasks.start([put("a", fail="not_applied"), put("b", undo="broken")])
        await until_shown(handle, "needs_attention")
        await handle.terminate()
        effects.repair("b")
        done = await recover(tasks, handle)
        assert [effect.step for effect in done.found] == ["b", "a"], "as far as the command can tell"
        assert done.state == "completed"
        assert effects.what("undo") == ["b", "b"], "the workers know that nothing has happened in a"


async def test_workers_without_the_key_do_nothing_and_say_so(
    server: EmbeddedServer, task_queue: str, effects: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    async with brief_worker(server.address, task_queue, vault(Drawer())) as tasks:
        handle = await stop_at_rest(tasks, effects, put("a"))
    blind = f"{task_queue}-blind"
    async with brief_worker(server.address, blind) as tasks:
        trying = asyncio.create_task(recover(tasks, handle, task_queue=blind))
        told = ""
        while "counterstep.read_leftovers fails: " not in told:
            await asyncio.wait({trying}, timeout=0.1)
            assert not trying.done()
            told += capsys.readouterr().err
        trying.cancel()
        await recovery_of(tasks, handle).terminate()
    assert list(effects.effects()) == ["a"]


async def test_more_than_fits_into_one_page(tasks: Tasks, effects: Desk) -> None:
    names = [f"s{number}" for number in range(7)]
    steps = [put(name, *names[:n][-1:], size=450_000) for n, name in enumerate(names)]
    handle = await stop_at_rest(tasks, effects, *steps)
    done = await recover(tasks, handle)
    assert done.undone == tuple(reversed(names))
    assert effects.what("undone") == list(reversed(names))
    recovery = recovery_of(tasks, handle)
    assert await recovery.result() == {"undone": list(done.undone), "not_undone": []}
    first = tasks.client.get_workflow_handle(recovery.id, run_id=(await recovery.describe()).run_id)
    start = await anext(first.fetch_history_events())
    assert start.workflow_execution_started_event_attributes.continued_execution_run_id, (
        "it went on in a new run"
    )


# --- chains


async def test_a_reset_and_a_forced_end_are_judged_together(
    tasks: Tasks, client: Client, effects: Desk
) -> None:
    handle = await tasks.start([put("a"), place("b", "a", delay=HELD), put("c", "b")])
    effects.release("b")
    assert (await end_of(handle)).type == "completed"
    effects.path.with_name("released b").unlink()
    again = await reset(client, handle, calls=1)
    await until_seen(effects, "begin", "b", 2)
    assert await refusal_of(tasks, handle, run_id=handle.first_execution_run_id) == "RunSuperseded"
    await again.terminate()
    effects.release("b")
    done = await recover(tasks, handle)
    assert done.run_id == again.run_id
    assert done.undone == ("c", "b", "a"), "c was done by the run that the reset has replaced"
    assert effects.effects() == {}
    run = handle.first_execution_run_id
    assert run is not None
    keys = [idempotency_key(run, path, 1) for path in "cba"]
    assert [event.key for event in effects.events("undone")] == keys


async def test_an_earlier_task_under_the_same_id(tasks: Tasks, effects: Desk) -> None:
    first = await stop_at_rest(tasks, effects, put("a"))
    run = first.first_execution_run_id
    other = await tasks.client.start_workflow(
        "Errand", [act("put", "b"), {"sleep": 600}], id=first.id, task_queue=tasks.task_queue
    )
    await effects.until("done", "b")
    assert await refusal_of(tasks, first, run_id=run) == "TaskAlive"
    await other.terminate()
    done = await recover(tasks, first, run_id=run)
    assert (done.run_id, done.undone) == (run, ("a",))
    assert list(effects.effects()) == ["b"]


# --- once


async def test_two_recoveries_at_once_are_one(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b"))
    chain = await find_chain(tasks.client, handle.id)
    results = await asyncio.gather(*(recover(tasks, handle) for _ in range(3)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [getattr(error, "type", error) for error in refused] == ["AlreadyRecovered"] * 2
    assert sorted(effects.what("undo")) == ["a", "b"]
    assert await refusal_of(tasks, handle) == "AlreadyRecovered"
    with pytest.raises(CommandFailed) as caught:  # somebody has looked before, and starts it now
        await start_recovery(tasks.client, chain, tasks.task_queue)
    assert caught.value.type == "AlreadyRecovered"


async def test_a_recovery_that_was_ended_by_force_is_followed_by_another(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b", "a", undo="broken"), put("c", "b"))
    stopped = await recover(tasks, handle)
    assert (stopped.state, stopped.exit_code) == ("needs_attention", 3)
    assert (stopped.undone, stopped.not_undone) == (("c",), ("b", "a"))
    assert await refusal_of(tasks, handle) == "AlreadyRecovered"
    await recovery_of(tasks, handle).terminate()
    effects.repair("b")
    done = await recover(tasks, handle)
    assert done.state == "completed"
    assert effects.what("undone") == ["c", "b", "a"]


# --- people


async def test_an_undo_that_is_stuck_waits_for_a_person(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b", "a", undo="broken"))
    assert (await recover(tasks, handle)).state == "needs_attention"
    recovery = recovery_of(tasks, handle)
    board = await until_state(recovery, "needs_attention")
    assert (board["task"], board["task_id"]) == ("test", recovery.id)
    effects.repair("b")
    await tell(recovery, "resolve", step="b", action="retry")
    assert await recovery.result() == {"undone": ["b", "a"], "not_undone": []}
    assert effects.effects() == {}


async def test_what_a_person_leaves_is_not_undone_behind_his_back(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b", "a", undo="broken"))
    assert (await recover(tasks, handle)).state == "needs_attention"
    recovery = recovery_of(tasks, handle)
    await tell(recovery, "resolve", step="b", action="skip", note="it may stay")
    end = await end_of(recovery)
    assert (end.type, end.details["not_undone"]) == ("SagaRollbackIncomplete", ["b"])
    effects.repair("b")
    assert await refusal_of(tasks, handle) == "NothingToUndo"
    assert list(effects.effects()) == ["b"]


async def test_a_task_that_gave_up(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a", undo="broken"), put("b", "a", fail="final")]
    handle = await tasks.start(steps, compensation={"give_up": "100ms"})
    assert (await end_of(handle)).type == "SagaRollbackIncomplete"
    effects.repair("a")
    done = await recover(tasks, handle)
    assert done.undone == ("a",)
    assert effects.what("undone") == ["b", "a"]


# --- refused


async def test_what_is_alive_completed_or_undone_is_left_alone(tasks: Tasks, effects: Desk) -> None:
    alive = await tasks.start([put("a"), rest("a")])
    await effects.until("look", "rest")
    assert await refusal_of(tasks, alive) == "TaskAlive"
    effects.release("rest")
    assert (await end_of(alive)).type == "completed"
    assert await refusal_of(tasks, alive) == "TaskCompleted"
    undone = await tasks.start([put("b", fail="final")])
    await end_of(undone)
    assert await refusal_of(tasks, undone) == "NothingToUndo"
    assert list(effects.effects()) == ["a"]


async def test_strangers_and_the_unknown_are_refused(tasks: Tasks) -> None:
    stranger = await tasks.start_workflow("Stranger")
    await stranger.terminate()
    assert await refusal_of(tasks, stranger) == "NotATask"
    assert await refusal_of(tasks, stranger, run_id=str(uuid4())) == "UnknownTask"
    assert await refusal_of(tasks, tasks.client.get_workflow_handle('nobody\'s "id"')) == "UnknownTask"


async def test_a_recovery_is_no_task(tasks: Tasks, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"))
    await recover(tasks, handle)
    assert await refusal_of(tasks, recovery_of(tasks, handle)) == "NotATask"


async def test_what_came_before_a_pivot_stays(tasks: Tasks, effects: Desk) -> None:
    shipped = step("shipped", "brief.ship", "a")
    handle = await stop_at_rest(tasks, effects, put("a"), shipped)
    assert await refusal_of(tasks, handle) == "PivotPassed"
    assert await refusal_of(tasks, handle, not_applied=True) == "PivotPassed"
    assert list(effects.effects()) == ["a"]


async def test_a_pivot_in_flight_is_for_a_person_to_judge(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), step("shipped", "brief.ship", "a", delay=HELD)])
    await effects.until("ship", "shipped")
    await handle.terminate()
    effects.release("shipped")
    assert await refusal_of(tasks, handle) == "PivotUnknown"
    done = await recover(tasks, handle, not_applied=True)
    assert (done.state, done.undone) == ("completed", ("a",))


# --- at random


@pytest.mark.long
@pytest.mark.parametrize("long", [history_size.LONG_EVENTS, 30], ids=["one_run", "many_runs"])
async def test_whatever_is_killed_whenever_nothing_is_left(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    monkeypatch.setattr(history_size, "LONG_EVENTS", long)
    seeds = range(long % 8, long % 8 + 8)
    await asyncio.gather(*(kill_at_random(tasks, effects, random.Random(seed), seed) for seed in seeds))
    assert effects.effects() == {}
    assert effects.what("undone")


async def kill_at_random(tasks: Tasks, effects: Desk, chance: random.Random, seed: int) -> None:
    """Terminates a task of some steps and children after some of them have begun, and recovers it."""
    steps: list[dict[str, Any]] = []
    for number in range(chance.randint(3, 6)):
        earlier = [step["id"] for step in steps]
        needs = chance.sample(earlier, chance.randint(0, min(2, len(earlier))))
        name, delay = f"s{number}", chance.choice([0, 0, 0.2])
        what = f"{seed}/{name}"
        if chance.random() < 0.3:
            own = {"things": [what, f"{what}+"], "sleep": delay}
            steps.append({"id": name, "needs": needs, "workflow": "Own", "input": own})
            continue
        steps.append(place(name, *needs, delay=delay, undo_delay=chance.choice([0, 0.2])))
        steps[-1]["input"]["what"] = what
    if chance.random() < 0.5:
        steps.append(step("broken", "desk.look", *(step["id"] for step in steps), fail="yes"))
    count = chance.randint(1, len(steps))
    handle = await tasks.start([*steps, rest(*(step["id"] for step in steps))])
    while len([what for what in effects.what("begin") if what.startswith(f"{seed}/")]) < count:
        if (await handle.describe()).close_time is not None:
            break
        await asyncio.sleep(chance.random() / 10)
    if (await handle.describe()).close_time is None:
        await handle.terminate()
    left = {what for what in effects.effects() if what.startswith(f"{seed}/")}
    try:
        await recover(tasks, handle)
    except Exception as error:
        assert getattr(error, "type", None) == "NothingToUndo", error
        assert left == set(), seed
    finished = undos_in(await events_of(handle))
    for key in [event.key for event in effects.events("undone")]:
        # An undo that was under way at the end may run again; one whose end is in history may not.
        assert key not in finished or len([e for e in effects.events("undone") if e.key == key]) == 1
    undone = effects.what("undone")
    for one in steps:
        for need in one["needs"]:
            after, before = f"{seed}/{need}", f"{seed}/{one['id']}"
            if {after, before} <= set(undone):
                assert undone.index(before) < undone.index(after), steps
