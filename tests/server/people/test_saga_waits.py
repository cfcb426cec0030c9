"""What sagas in workflows of one's own wait for, take back and say of their calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_state, until_step
from counterstep.tests.support.tasks.work import act
from counterstep.tests.support.tasks.workers import errand_worker


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


async def until_found(tasks: Tasks, id_: str, state: str) -> None:
    """Waits until the server lists a workflow by its state."""
    query = f'WorkflowId = "{id_}" and SagaState = "{state}"'
    async with asyncio.timeout(30):
        while not [found async for found in tasks.client.list_workflows(query)]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def approval(**given: Any) -> dict[str, Any]:
    return {"approve": "Spend it?", "show": {"price": 3}, **given}


async def test_a_person_lets_a_saga_go_on(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start_workflow("Errand", [act("put", "a"), approval(step="ok"), act("put", "b")])
    board = await until_state(handle, "waiting")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["ask"], asked["show"]) == ("ok", "Spend it?", {"price": 3})
    assert (board["steps"]["ok"]["state"], asked["actions"]) == ("waiting", ["approve", "reject", "edit"])
    await until_found(tasks, handle.id, "waiting")
    assert "takes approve, reject, edit" in await refusal_of(handle, "decide", step="ok", action="aprove")
    await tell(handle, "decide", step="ok", action="edit", value={"price": 2}, note="dear")
    assert (await end_of(handle)).output[1] == ["edit", {"price": 2}, "ann", "dear"]
    assert list(effects.effects()) == ["a", "b"]


async def test_two_people_let_a_saga_go_on(tasks: Tasks, effects: Desk) -> None:
    asking = {"people": 2, "not_by": "'eve'"}
    handle = await tasks.start_workflow("Errand", [approval(step="ok", asking=asking), act("put", "b")])
    (asked,) = (await until_state(handle, "waiting"))["waiting_for"]
    said = {"step": "ok", "action": "approve", "hash": asked["hash"]}
    await tell(handle, "decide", **said)
    assert "eve may not answer" in await refusal_of(handle, "decide", **said, by="eve")
    await tell(handle, "decide", **said, by="bob")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["b"]


async def test_a_person_says_no(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start_workflow("Errand", [act("put", "a"), approval()])
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="approve", action="reject", note="too dear")
    end = await end_of(handle)
    assert (end.type, end.failure["type"], end.failure["step"]) == ("SagaRolledBack", "Rejected", "approve")
    assert effects.effects() == {}


async def test_nobody_answers(tasks: Tasks, effects: Desk) -> None:
    asked = approval(choices=["yes", "no"], deadline="200ms", default="no")
    handle = await tasks.start_workflow("Errand", [asked, {"wait": {"time": "1ms"}}])
    assert (await end_of(handle)).output[0][0] == "no"
    faulty = await tasks.start_workflow("Errand", [act("put", "a"), approval(default="perhaps")])
    assert "say a deadline" in (await end_of(faulty)).message
    assert effects.effects() == {}


async def test_an_event_lets_a_saga_go_on(tasks: Tasks, effects: Desk) -> None:
    wait = {"event": "paid", "where": "event.sum > 2", "deadline": "1h", "step": "money"}
    handle = await tasks.start_workflow("Errand", [act("put", "a"), {"wait": wait}])
    await until_step(handle, "money", "waiting")
    await until_found(tasks, handle.id, "waiting")
    await handle.signal("event", {"name": "paid", "payload": {"sum": 1}})
    await handle.signal("event", {"name": "paid", "payload": {"sum": 3}})
    assert (await end_of(handle)).output[1] == {"sum": 3}
    late = await tasks.start_workflow(
        "Errand", [act("put", "b"), {"wait": {"event": "x", "deadline": "1ms"}}]
    )
    assert (await end_of(late)).failure["type"] == "Timeout"
    assert list(effects.effects()) == ["a"]


@pytest.mark.parametrize("wait", [approval(), {"wait": {"event": "x"}}, {"wait": {"time": "1h"}}])
async def test_a_wait_ends_with_its_workflow_and_with_its_timeout(
    tasks: Tasks, effects: Desk, wait: dict[str, Any]
) -> None:
    handle = await tasks.start_workflow("Errand", [{"within": 0.2, "do": wait}, act("put", "a"), wait])
    await effects.until("done", "a")
    await until_step(handle, "approve_2" if "approve" in wait else "wait_2", "waiting")
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}


async def test_a_saga_that_needs_attention_is_found(tasks: Tasks, effects: Desk) -> None:
    acts = [act("put_for_good", "a"), {"fail": "now"}]
    handle = await tasks.start_workflow("Errand", acts)
    await until_found(tasks, handle.id, "needs_attention")
    await tell(handle, "resolve", step="put_for_good", action="done")
    assert (await end_of(handle)).type == "SagaRolledBack"
    await until_found(tasks, handle.id, "rolled_back")


async def test_a_saga_takes_a_step_back_and_what_builds_on_it(tasks: Tasks, effects: Desk) -> None:
    names = [act("put", what, step=what) for what in "abc"]
    acts = [*names, {"undo": "b"}, act("put", "b again", step="b"), {"undo": "b"}]
    handle = await tasks.start_workflow("Errand", acts)
    end = await end_of(handle)
    assert (end.output[3], end.output[5]) == (["c", "b"], [])
    assert list(effects.effects()) == ["a", "b again"]
    assert effects.what("undone") == ["c", "b"]
    wrong = await tasks.start_workflow("Errand", [act("put", "d", step="d"), {"undo": "dd"}])
    assert "there is no step 'dd'; did you mean 'd'?" in (await end_of(wrong)).message
    assert list(effects.effects()) == ["a", "b again"]


async def test_a_pivot_is_not_taken_back(tasks: Tasks, effects: Desk) -> None:
    acts = [act("put", "a", step="a"), act("hand_over", "p"), {"undo": "a"}]
    end = await end_of(await tasks.start_workflow("Errand", acts))
    assert "'a' is past the point of no return" in end.message
    assert list(effects.effects()) == ["a", "p"]


async def test_a_call_says_how_often_and_how_long(tasks: Tasks, effects: Desk) -> None:
    once = act("put", "once", fail="once", retry={"attempts": 1})
    slow = act("put", "slow", delay=HELD, retry={"attempts": 1}, timeout="1s")
    twice = act("put", "twice", fail="once", retry={"attempts": 2, "initial": "1ms"})
    handle = await tasks.start_workflow("Errand", [{"catch": once}, {"catch": slow}, twice])
    await effects.until("done", "twice")
    effects.release("slow")
    end = await end_of(handle)
    assert end.output[:2] == ["RuntimeError", "Timeout"]
    assert list(effects.effects()) == ["twice"]
    wrong = await tasks.start_workflow("Errand", [act("put", "a", retry={"atempts": 1})])
    assert "retry: atempts" in (await end_of(wrong)).message


async def test_what_may_be_interrupted_is_undone_at_once(tasks: Tasks, effects: Desk) -> None:
    left = {"within": 0.5, "do": act("put_interruptible", "left", late=HELD)}
    handle = await tasks.start_workflow("Errand", [left, act("put", "b", delay=HELD)])
    await effects.until("begin", "b")
    assert effects.what("undone") == ["left"]
    assert effects.effects() == {}
    effects.release("b")
    assert (await end_of(handle)).output[0] == "too late"
    assert list(effects.effects()) == ["b"]
