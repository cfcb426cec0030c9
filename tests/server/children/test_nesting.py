"""G15: a child's ledger becomes its parent's, and a child rolls back with its parent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.bundles.nest import Plain, nest
from counterstep.tests.support.tasks.tasks import (
    End,
    Tasks,
    child_of,
    end_of,
    refusal_of,
    tell,
    until_asked,
    until_state,
)
from counterstep.tests.support.tasks.work import child, put, step


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    ours = CounterstepPlugin([desk, nest], inline_specs=True)
    client = await Client.connect(server.address, plugins=[ours])
    async with Worker(client, task_queue=task_queue, workflows=[Plain]):
        yield Tasks(client, task_queue)


async def test_three_levels_complete_and_hand_their_outputs_up(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([put("a"), child("mid", "nest.middle", "a"), put("b", "mid")])
    assert end.type == "completed"
    assert end.output["mid"] == {"inner": "i3"}
    assert sorted(effects.effects()) == ["a", "b", "i1", "i2", "i3", "m1", "m2"]


async def test_what_finished_children_did_is_undone_in_order(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([put("a"), child("mid", "nest.middle", "a"), put("b", "mid", fail="final")])
    assert end.type == "SagaRolledBack"
    assert effects.what("undone") == ["b", "m2", "i3", "i2", "i1", "m1", "a"]
    assert end.details["undone"] == ["b", "mid", "a"]
    assert effects.effects() == {}
    undone = {event.key for event in effects.events("undone")}
    assert undone == {event.key for event in effects.events("done")}, "each undo has the key of its call"


async def test_what_a_child_waits_for_is_shown_by_all_above_it(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([child("mid", "nest.asks"), put("b", "mid")])
    inner = child_of(tasks, handle, "mid#1/inner#1")
    board = await until_state(handle, "waiting")
    (asked,) = board["waiting_for"]
    assert (asked["task"], asked["step"], asked["ask"]) == (inner.id, "ok", "Is it well?")
    assert await refusal_of(handle, "decide", step="mid", action="approve")
    for forged in ({"child": f"{handle.id}/mid#1", "state": "completed", "waiting_for": [{}]}, {}, 7):
        await handle.signal("counterstep.child_waits", forged)
    assert (await handle.query("board"))["waiting_for"] == [asked]
    await tell(inner, "decide", step="ok", action="approve")
    await until_asked(handle, "sure")
    await tell(inner, "decide", step="sure", action="reject")
    board = await until_state(handle, "needs_attention")
    (asked,) = board["waiting_for"]
    assert (asked["task"], asked["step"], asked["update"]) == (inner.id, "q1", "resolve")
    assert asked["actions"] == ["retry", "skip", "done"]
    await tell(inner, "resolve", step="q1", action="done")
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "mid")
    states = [line["what"] for line in (await handle.query("board"))["log"] if line["what"][:5] == "task "]
    assert states[:2] == ["task running", "task waiting"]
    assert "task needs_attention" in states
    assert states[-1] == "task rolled_back"


async def test_a_child_that_fails_has_undone_itself(tasks: Tasks, effects: Desk) -> None:
    steps = [
        put("a"),
        child("mid", "nest.middle", "a", input={"fail": "final"}, on_failure="skip"),
        put("b", "mid"),
    ]
    end = await tasks.run(steps)
    assert end.type == "completed"
    assert effects.what("undone") == ["i3", "i2", "i1", "m1"]
    assert sorted(effects.effects()) == ["a", "b"]


async def test_the_failure_of_a_child_is_told_with_its_type(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([child("mid", "nest.middle", input={"fail": "final"})])
    assert (end.type, end.failure["step"], end.failure["type"]) == ("SagaRolledBack", "mid", "Final")
    assert "step 'i3' failed" in end.failure["message"]
    assert effects.effects() == {}


async def test_a_child_rolls_back_when_its_parent_is_cancelled(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    await handle.cancel()
    await asyncio.sleep(0.3)
    assert effects.what("undo") == [], "the call that runs is waited for"
    effects.release("i2")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.what("undone") == ["i2", "i1", "m1", "a"]
    inner = child_of(tasks, handle, "mid#1/inner#1")
    assert (await inner.describe()).status is WorkflowExecutionStatus.CANCELED
    names = {event.event_type for event in (await handle.fetch_history()).events}
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED in names


async def test_a_child_that_somebody_else_cancels_is_a_failed_step(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    await child_of(tasks, handle, "mid#1").cancel()
    effects.release("i2")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ChildEnded")
    assert effects.effects() == {}


async def test_a_child_that_somebody_terminates_is_undone_from_its_history(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await tasks.start([put("a"), child("ch", "nest.inner", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    await child_of(tasks, handle, "ch#1").terminate()
    effects.release("i2")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ChildEnded")
    assert effects.effects() == {}
    assert end.details["not_undone"] == []


async def test_terminating_the_parent_asks_the_child_to_roll_back(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await effects.until("done", "i2")
    await handle.terminate()
    effects.release("i2")
    assert (await end_of(child_of(tasks, handle, "mid#1"))).type == "cancelled"
    assert list(effects.effects()) == ["a"], "what the parent itself did is for recover"


async def test_a_child_takes_too_long(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([child("own", "Own", input={"things": ["x"], "sleep": 600}, timeout="1s")])
    await effects.until("done", "x")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Timeout")
    assert effects.effects() == {}


async def test_a_workflow_of_ones_own_hands_over_in_the_same_way(tasks: Tasks, effects: Desk) -> None:
    own = child("own", "Own", input={"things": ["x", "y"]})
    end = await tasks.run([own, put("b", "own", what="${{ steps.own.output[1] }} too", fail="final")])
    assert end.type == "SagaRolledBack"
    assert effects.what("undone") == ["y too", "y", "x"]
    assert effects.effects() == {}


async def test_a_bug_in_a_workflow_of_ones_own(tasks: Tasks, effects: Desk) -> None:
    for bug in ("bug", "bug_after"):
        end = await tasks.run([child("own", "Own", input={"things": [bug], bug: True})])
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ValueError"), bug
        assert effects.effects() == {}, bug


async def test_a_workflow_without_a_saga_is_just_a_call(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([put("a"), child("plain", "Plain", "a", input={"word": "hello"})])
    assert (end.type, end.output["plain"]) == ("completed", "hello")


async def test_a_child_under_for_each_and_done_again(tasks: Tasks, effects: Desk) -> None:
    each = child("each", "Own", input={"things": ["${{ item }}"]}, for_each="['x', 'y']")
    again = {**put("b", "each", fail="first"), "on_failure": {"retry_from": "each"}}
    end = await tasks.run([each, again])
    assert end.type == "completed"
    assert sorted(effects.what("undone")) == ["b", "x", "y"]
    assert sorted(effects.effects()) == ["b", "x", "y"]
    keys = [event.key for event in effects.events("done")]
    assert len(keys) == len(set(keys)), "a child that is done again makes calls of its own"


async def test_a_child_with_a_pivot_is_one(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), child("p", "nest.point", "a"), {**put("r", "p"), "tool": "desk.announce"}]
    handle = await tasks.start([*steps[:2], {**steps[2], "input": {"what": "r", "fail": "first"}}])
    board = await until_state(handle, "waiting")
    assert board["waiting_for"][0]["actions"] == ["retry", "skip", "supply"]
    await tell(handle, "decide", step="r", action="skip")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "p1", "p2"]


async def test_a_child_that_has_committed_unannounced_commits_its_parent(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([child("c", "Commits", input={"what": "p"}), {**put("b", "c", fail="final")}])
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="b", action="skip")
    assert (await end_of(handle)).type == "completed"


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (
            child("c", "nest.iner"),
            "steps[0].workflow: there is no task or workflow 'nest.iner'; did you mean",
        ),
        (
            child("c", "nest.inner", input={"fial": "x"}),
            "steps[0].input.fial: nest.inner takes no 'fial'; did you",
        ),
        (child("c", "nest.inner", retry={"attempts": 2}), "steps[0]: a child workflow has no retry"),
        (child("c", "nest.inner", input={"fail": 7}), "steps[0].input.fail: 7 is not of type 'string'"),
    ],
)
async def test_faults_of_children_are_told_before_anything_runs(
    tasks: Tasks, effects: Desk, step: dict[str, Any], fault: str
) -> None:
    end: End = await tasks.run([put("a"), step])
    assert end.type == "InvalidSpec"
    assert fault.replace("steps[0]", "steps[1]") in end.message
    assert effects.events() == []


INNER = {"name": "inner", "steps": [put("i1"), step("i2", "desk.hand_over", "i1")]}


async def test_a_pivot_in_a_child_whose_spec_is_brought_is_the_parents(tasks: Tasks, effects: Desk) -> None:
    keys = {"task_queue": tasks.task_queue, "effect": "pivot"}
    brought = child("mid", "AgentTask", "a", input={"spec": INNER}, **keys)
    handle = await tasks.start([put("a"), brought, step("b", "desk.announce", "mid", delay=HELD)])
    await effects.until("begin", "b")
    await handle.cancel()
    effects.release("b")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["a", "i1", "i2", "b"], "past the pivot nothing is undone"


@pytest.mark.parametrize("spec", [INNER, "${{ task.spec }}"], ids=["written", "computed"])
async def test_a_pivot_of_which_the_parent_does_not_know_never_starts(
    tasks: Tasks, effects: Desk, spec: Any
) -> None:
    """Where it is written down nothing starts; else the child refuses before it has done anything."""
    brought = child("mid", "AgentTask", "a", input={"spec": spec}, task_queue=tasks.task_queue)
    end = await tasks.run([put("a"), brought], {"spec": INNER})
    assert effects.effects() == {}
    if spec is INNER:
        assert (end.type, "its child has the pivot 'i2'; say effect: pivot" in end.message) == (
            "InvalidSpec",
            True,
        )
        assert effects.events() == []
        return
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "InvalidSpec")
    assert "say effect: pivot in its step 'mid'" in end.failure["message"]
    assert effects.what("done") == ["a"]
