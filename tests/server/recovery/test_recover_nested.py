"""G10, G15: what a task and its children have left behind is undone, whoever of them was ended by force."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.bundles.vault import Drawer, vault
from counterstep.tests.support.histories.history import CHILD_STARTED, TURN_COMPLETED, until_event
from counterstep.tests.support.tasks.recovery import (
    delete,
    nest_worker,
    recover,
    recovery_of,
    refusal_of,
    rest,
    until_closed,
)
from counterstep.tests.support.tasks.tasks import Tasks, child_of, end_of, until_state
from counterstep.tests.support.tasks.work import child, put

pytestmark = pytest.mark.long


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with nest_worker(server, task_queue) as tasks:
        yield tasks


async def trouble_of(handle: WorkflowHandle[Any, Any]) -> str:
    """Waits until a call is tried again, and returns why."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(RPCError):  # it is still to be started
            for pending in (await handle.describe()).raw_description.pending_activities:
                if pending.attempt > 1:
                    return pending.last_failure.message
        await asyncio.sleep(0.05)
    raise AssertionError("nothing fails")


def undone(effects: Desk) -> list[str]:
    return effects.what("undone")


async def at_rest(tasks: Tasks, effects: Desk, *steps: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    """Runs steps, and then terminates their task."""
    handle = await tasks.start([*steps, rest(*(step["id"] for step in steps))])
    await effects.until("look", "rest")
    await handle.terminate("a test")
    effects.release("rest")
    return handle


# --- what a child has handed over


async def test_what_completed_children_did_is_undone_in_order(tasks: Tasks, effects: Desk) -> None:
    handle = await at_rest(tasks, effects, put("a"), child("mid", "nest.middle", "a"), put("b", "mid"))
    keys = {event.what: event.key for event in effects.events("done")}
    done = await recover(tasks, handle)
    assert (done.state, done.undone) == ("completed", ("b", "mid", "a"))
    assert undone(effects) == ["b", "m2", "i3", "i2", "i1", "m1", "a"]
    assert {event.what: event.key for event in effects.events("undone")} == keys
    assert effects.effects() == {}
    assert await refusal_of(tasks, handle) == "AlreadyRecovered"


async def test_what_the_task_itself_has_undone_of_a_child_is_left_alone(tasks: Tasks, effects: Desk) -> None:
    mid = child("mid", "nest.middle", "a")
    handle = await tasks.start([put("a", undo="broken"), mid, put("b", "mid", fail="final")])
    await until_state(handle, "needs_attention")
    await handle.terminate()
    assert undone(effects) == ["b", "m2", "i3", "i2", "i1", "m1"]
    effects.repair("a")
    assert (await recover(tasks, handle)).undone == ("a",)
    assert undone(effects) == ["b", "m2", "i3", "i2", "i1", "m1", "a"]


async def test_a_child_that_has_failed_leaves_nothing(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("mid", "nest.middle", "a", input={"fail": "final"})])
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert await refusal_of(tasks, handle) == "NothingToUndo"
    assert effects.effects() == {}


@pytest.mark.parametrize("of_ours", [True, False])
async def test_a_child_that_was_cancelled_leaves_nothing(tasks: Tasks, effects: Desk, of_ours: bool) -> None:
    own = child("ch", "Own", "a", input={"things": ["i2"], "sleep": 600})
    below = child("ch", "nest.inner", "a", input={"late": HELD}) if of_ours else own
    handle = await tasks.start([put("a", undo="broken"), below])
    await effects.until("done", "i2")
    await handle.cancel()
    effects.release("i2")
    await until_state(handle, "needs_attention")
    await handle.terminate()
    effects.repair("a")
    done = await recover(tasks, handle)
    assert [effect.step for effect in done.found] == ["a"]
    undone = [what for what in effects.what("undone") if what != "i3"]  # it may have begun before the cancel
    assert undone == (["i2", "i1", "a"] if of_ours else ["i2", "a"])
    assert effects.effects() == {}


async def test_only_the_workers_can_read_what_a_child_has_handed_over(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    async with nest_worker(server, task_queue, vault(Drawer())) as tasks:
        handle = await at_rest(tasks, effects, put("a"), child("mid", "nest.middle", "a"))
        done = await recover(tasks, handle)
        assert (done.state, done.not_undone) == ("completed", ())
        assert undone(effects) == ["m2", "i3", "i2", "i1", "m1", "a"]
        assert effects.effects() == {}


@pytest.mark.parametrize(
    "below", [child("p", "nest.point", "a"), child("p", "Commits", "a", input={"what": "p"})]
)
async def test_what_came_before_the_pivot_of_a_child_stays(
    tasks: Tasks, effects: Desk, below: dict[str, Any]
) -> None:
    handle = await at_rest(tasks, effects, put("a"), below)
    before = sorted(effects.effects())
    assert await refusal_of(tasks, handle) == "PivotPassed"
    assert sorted(effects.effects()) == before


# --- a child that has handed nothing over


async def test_a_child_that_still_rolls_back_is_waited_for(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    await handle.terminate()
    recovering = asyncio.create_task(recover(tasks, handle))
    await asyncio.sleep(1)
    assert not recovering.done()
    assert undone(effects) == [], "nothing of the task before its child"
    effects.release("i2")
    done = await recovering
    assert (done.state, done.undone) == ("completed", ("mid", "a"))
    assert undone(effects) == ["i2", "i1", "m1", "a"]
    assert effects.effects() == {}


async def test_all_three_levels_are_ended_by_force(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    handles = [handle, child_of(tasks, handle, "mid#1"), child_of(tasks, handle, "mid#1/inner#1")]
    for one in handles:
        await one.terminate()
    effects.release("i2")
    done = await recover(tasks, handle)
    assert (done.state, done.undone) == ("completed", ("mid", "a"))
    assert undone(effects) == ["i2", "i1", "m1", "a"]
    assert {e.key for e in effects.events("undone")} == {e.key for e in effects.events("done")}
    assert effects.effects() == {}


async def test_a_child_that_completed_after_the_end_of_its_parent(tasks: Tasks, effects: Desk) -> None:
    own = {"things": ["x", "y"], "deaf": True}
    handle = await tasks.start([put("a"), child("own", "Own", "a", input=own)])
    await effects.until("done", "y")
    below = child_of(tasks, handle, "own#1")
    await until_state(below, "completed")
    await handle.terminate()
    await until_closed(below)
    assert (await below.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert await refusal_of(tasks, below) == "TaskCompleted", "as a task of its own it is to stay"
    done = await recover(tasks, handle)
    assert (done.state, done.undone) == ("completed", ("own", "a"))
    assert undone(effects) == ["y", "x", "a"]


async def test_a_child_that_passed_its_pivot_after_the_end_of_its_parent(tasks: Tasks, effects: Desk) -> None:
    point = child("p", "nest.point", "a", input={"late": HELD})
    handle = await tasks.start([put("a"), point])
    await effects.until("done", "p2")
    await handle.terminate()
    effects.release("p2")
    below = child_of(tasks, handle, "p#1")
    await until_closed(below)
    assert (await below.describe()).status is WorkflowExecutionStatus.COMPLETED
    left = await recover(tasks, handle)
    assert (left.state, left.undone, left.not_undone) == ("needs_attention", (), ("p", "a"))
    recovery = recovery_of(tasks, handle)
    (asked, *_) = (await recovery.query("board"))["waiting_for"]
    assert "has passed its pivot 'p2'" in asked["ask"]
    await recovery.terminate()
    assert sorted(effects.effects()) == ["a", "p1", "p2"]


async def test_a_child_without_a_saga_has_nothing_to_undo(tasks: Tasks, effects: Desk) -> None:
    own = child("own", "Own", "a", input={"things": [], "sleep": 600})
    handle = await tasks.start([put("a"), own])
    await until_event(handle, CHILD_STARTED)
    below = child_of(tasks, handle, "own#1")
    await until_event(below, TURN_COMPLETED)
    await below.terminate()
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.effects() == {}


@pytest.mark.slow
async def test_a_child_whose_history_is_gone_is_for_a_person(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("ch", "nest.inner", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    await handle.terminate()
    effects.release("i2")
    below = child_of(tasks, handle, "ch#1")
    await until_closed(below)
    await delete(tasks.client, below)
    recovering = asyncio.create_task(recover(tasks, handle))
    recovery = recovery_of(tasks, handle)
    assert "does not know" in await trouble_of(recovery)
    recovering.cancel()
    await recovery.terminate()
    assert list(effects.effects()) == ["a"]
