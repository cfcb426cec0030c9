"""G8: a reset to before a finished undo is noticed, and a person says what becomes of the task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.history_format import READ_LOST_UNDOS
from counterstep.saga.ledger.idempotency import idempotency_key
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.histories.history import events_of, reset
from counterstep.tests.support.tasks.recovery import (
    brief,
    brief_worker,
    recover,
    recovery_of,
    stop_at_rest,
    until_closed,
)
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_state, until_step
from counterstep.tests.support.tasks.work import act, child, put, step
from counterstep.tests.support.tasks.workers import WORKFLOWS
from counterstep.tests.support.workflows.sagas import errands


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with brief_worker(server.address, task_queue) as tasks:
        yield tasks


async def rolled_back(tasks: Tasks, **last: Any) -> WorkflowHandle[Any, Any]:
    """A task of three steps that is undone because of the last one."""
    handle = await tasks.start([put("a"), put("b", "a"), put("c", "b", fail="first", **last)])
    assert (await end_of(handle)).type == "SagaRolledBack"
    return handle


async def reads_of(handle: WorkflowHandle[Any, Any]) -> int:
    """How often a run has looked for lost undos."""
    calls = [event.activity_task_scheduled_event_attributes for event in await events_of(handle)]
    return [call.activity_type.name for call in calls].count(READ_LOST_UNDOS)


async def replays(handle: WorkflowHandle[Any, Any]) -> bool:
    """Replays a run from its beginning."""
    ours = CounterstepPlugin([brief, desk, errands], inline_specs=True)
    replayer = Replayer(workflows=WORKFLOWS, plugins=[ours])
    await replayer.replay_workflow(await handle.fetch_history())
    return True


async def test_it_needs_attention_and_is_rolled_back(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await rolled_back(tasks)
    again = await reset(client, handle, calls=1)
    board = await until_state(again, "needs_attention")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"], asked["update"]) == ("c", "reset", "resolve")
    assert "what these steps did is undone, c, b, a." in asked["ask"]
    refusal = await refusal_of(again, "resolve", step="c", action="retry")
    assert "takes go_on, rollback, not 'retry'" in refusal
    await tell(again, "resolve", step="c", action="rollback")
    end = await end_of(again)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Reset")
    assert effects.what("undo") == ["c", "b", "a"], "nothing is undone twice"
    assert effects.what("begin") == ["a", "b", "c"], "nothing is done again"
    assert await replays(again)


async def test_it_goes_on_under_new_keys(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await rolled_back(tasks)
    again = await reset(client, handle, calls=1)
    await until_state(again, "needs_attention")
    await tell(again, "resolve", step="c", action="go_on")
    assert (await end_of(again)).type == "completed"
    run = handle.first_execution_run_id
    assert run is not None
    assert effects.effects() == {what: idempotency_key(run, what, 2) for what in "bc"}
    assert await reads_of(again) == 1
    assert await replays(again)


async def test_a_task_that_begins_again(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await rolled_back(tasks)
    again = await reset(client, handle, calls=0)
    await until_state(again, "needs_attention")
    await tell(again, "resolve", step="c", action="go_on")
    assert (await end_of(again)).type == "completed"
    run = handle.first_execution_run_id
    assert run is not None
    assert effects.effects() == {what: idempotency_key(run, what, 2) for what in "abc"}
    assert await replays(again)


async def test_a_reset_in_the_middle_of_a_rollback(tasks: Tasks, client: Client, effects: Desk) -> None:
    steps = [put("a"), put("b", "a"), put("c", "b"), put("d", "c", fail="final")]
    handle = await tasks.start(steps)
    assert (await end_of(handle)).type == "SagaRolledBack"
    again = await reset(client, handle, calls=4)  # three calls and the undo of the fourth
    end = await end_of(again)
    assert (end.type, end.details["undone"]) == ("SagaRolledBack", ["d", "c", "b", "a"])
    assert effects.what("undo") == ["d", "c", "b", "a"]


async def test_a_saga_in_a_workflow_of_ones_own(tasks: Tasks, client: Client, effects: Desk) -> None:
    acts = [act("put", "a"), act("put", "b"), act("put", "c", fail="final")]
    handle = await tasks.start_workflow("Errand", acts)
    assert (await end_of(handle)).type == "SagaRolledBack"
    again = await reset(client, handle, calls=1)
    board = await until_state(again, "needs_attention")
    await tell(again, "resolve", step=board["waiting_for"][0]["step"], action="rollback")
    end = await end_of(again)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Reset")
    assert effects.what("undo") == ["c", "b", "a"]


async def test_a_recovered_task_that_is_reset(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b", "a"))
    await recover(tasks, handle)
    again = await reset(client, handle, calls=2)
    board = await until_state(again, "needs_attention")
    assert board["waiting_for"][0]["kind"] == "reset"
    await tell(again, "resolve", step=board["waiting_for"][0]["step"], action="rollback")
    assert (await end_of(again)).type == "SagaRolledBack"
    assert effects.what("undo") == ["b", "a"]


async def test_a_recovery_that_is_reset(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await stop_at_rest(tasks, effects, put("a"), put("b", "a"))
    await recover(tasks, handle)
    again = await reset(client, recovery_of(tasks, handle), calls=1)
    assert (await again.result())["undone"] == ["b", "a"]
    assert effects.what("undo") == ["b", "a"]


async def test_a_cancel_is_an_answer_too(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await rolled_back(tasks)
    again = await reset(client, handle, calls=1)
    await until_state(again, "needs_attention")
    await again.cancel()
    assert (await end_of(again)).type == "cancelled"
    assert effects.what("undo") == ["c", "b", "a"]


async def test_a_reset_that_loses_no_undo_asks_nobody(tasks: Tasks, client: Client, effects: Desk) -> None:
    skipped = {**put("x", fail="final"), "on_failure": "skip"}
    handle = await tasks.start([skipped, put("a", "x"), put("b", "a")])
    assert (await end_of(handle)).type == "completed"
    again = await reset(client, handle, calls=2)  # the undo of x, and a
    assert (await end_of(again)).type == "completed"
    assert sorted(effects.effects()) == ["a", "b"]
    assert await reads_of(again) == 1
    assert await reads_of(client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)) == 0


PAUSE = {"id": "pause", "wait": {"time": "2s"}}


@pytest.mark.parametrize("calls", [0, 1])
async def test_what_the_new_run_has_not_come_to_is_undone_with_the_rest(
    tasks: Tasks, client: Client, effects: Desk, calls: int
) -> None:
    first = [put("a"), {**PAUSE, "needs": ["a"]}] if calls else [PAUSE, put("a", "pause")]
    handle = await tasks.start([*first, put("b", first[-1]["id"]), put("c", "b")])
    assert (await end_of(handle)).type == "completed"
    again = await reset(client, handle, calls=calls)
    await until_step(again, "pause", "waiting")
    await again.cancel()
    assert (await end_of(again)).type == "cancelled"
    assert effects.what("undo") == ["c", "b", "a"]
    assert effects.effects() == {}
    assert await replays(again)


async def test_what_was_done_before_a_second_reset_is_undone_too(
    tasks: Tasks, client: Client, effects: Desk
) -> None:
    handle = await tasks.start([put("a"), {**PAUSE, "needs": ["a"]}, put("b", "pause"), put("c", "b")])
    assert (await end_of(handle)).type == "completed"
    for _ in range(2):
        again = await reset(client, handle, calls=1)
        await until_step(again, "pause", "waiting")
    await again.cancel()
    assert (await end_of(again)).type == "cancelled"
    assert effects.what("undone") == ["c", "b", "a"], "nothing is undone twice"


async def test_a_pivot_before_the_reset_keeps_what_came_before_it(
    tasks: Tasks, client: Client, effects: Desk
) -> None:
    pause = {**PAUSE, "needs": ["a"]}
    handle = await tasks.start([put("a"), pause, put("b", "pause"), step("p", "desk.hand_over", "b")])
    assert (await end_of(handle)).type == "completed"
    again = await reset(client, handle, calls=1)
    await until_step(again, "pause", "waiting")
    await again.cancel()
    end = await end_of(again)
    assert end.type == "SagaRollbackIncomplete"
    assert end.details["committed"] and end.details["not_undone"] == ["b", "a"]
    assert effects.what("undo") == [], "the pivot cannot be undone, and so nothing before it is"


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_child_that_runs_on_is_undone_before_anything_goes_on(
    tasks: Tasks, client: Client, effects: Desk, goes_on: bool
) -> None:
    inner = {"spec": {"name": "child", "steps": [put("x"), put("y", "x", late=HELD)]}}
    again = {"on_failure": {"retry_from": "ch", "rounds": 2}} if goes_on else {}
    started = child("ch", "AgentTask", "a", input=inner, task_queue=tasks.task_queue, **again)
    handle = await tasks.start([put("a"), started])
    await effects.until("done", "y")
    run = await reset(client, handle, calls=0)
    await until_step(run, "a", "completed")
    effects.release("y")
    end = await end_of(run)
    assert effects.what("undo")[:2] == ["y", "x"], "the server leaves it running, and the new run starts none"
    assert await replays(run)
    if goes_on:
        assert (end.type, list(effects.effects())) == ("completed", ["a", "x", "y"])
    else:
        assert (end.type, end.details["undone"], effects.effects()) == ("SagaRolledBack", ["ch", "a"], {})
        assert "before a reset" in end.failure["message"]


async def test_what_stands_keeps_its_key(tasks: Tasks, client: Client, effects: Desk) -> None:
    skipped = {**put("x", fail="first"), "on_failure": "skip"}
    handle = await tasks.start([skipped, step("y", "desk.hand_over", "x")])
    assert (await end_of(handle)).type == "completed"
    again = await reset(client, handle, calls=0)
    await until_state(again, "needs_attention")
    await tell(again, "resolve", step="x", action="go_on")
    assert (await end_of(again)).type == "completed"
    run = handle.first_execution_run_id
    assert run is not None
    assert effects.effects() == {"x": idempotency_key(run, "x", 2), "y": idempotency_key(run, "y", 1)}


async def test_a_second_reset(tasks: Tasks, client: Client, effects: Desk) -> None:
    handle = await rolled_back(tasks)
    for answer in ("rollback", "go_on"):
        again = await reset(client, handle, calls=1)
        await until_state(again, "needs_attention")
        await tell(again, "resolve", step="c", action=answer)
        await until_closed(again)
        assert await replays(again)
    assert (await end_of(again)).type == "completed"
    assert effects.what("undo") == ["c", "b", "a"]


@pytest.mark.parametrize("how", ["rollback", "cancel", "go_on", "terminate"])
async def test_what_was_under_way_is_done_again_and_undone_again(
    tasks: Tasks, client: Client, effects: Desk, how: str
) -> None:
    slow = step("slow", "brief.scribble", late=HELD)
    handle = await tasks.start([put("a"), slow, put("c", "a", "slow", fail="final")])
    await until_step(handle, "a", "completed")
    await effects.until("done", "slow")
    effects.release("slow")
    assert (await end_of(handle)).type == "SagaRolledBack"
    again = await reset(client, handle, calls=1)
    await until_state(again, "needs_attention")
    assert effects.what("done").count("slow") == 2, "the server makes it again under its key"
    match how:
        case "cancel":
            await again.cancel()
        case "terminate":
            await again.terminate()
            await recover(tasks, handle)
        case _:
            await tell(again, "resolve", step="c", action=how)
    await until_closed(again)
    assert effects.effects() == {}
    assert effects.what("undone").count("a") == 1, "what was not done again is not undone again"
    if how != "terminate":
        assert await replays(again)


@pytest.mark.parametrize("calls", [0, 1])
async def test_a_saga_of_ones_own_goes_on_and_is_undone(
    tasks: Tasks, client: Client, effects: Desk, calls: int
) -> None:
    acts = [act("put", "a"), act("put", "b"), act("put", "c", fail="final")]
    handle = await tasks.start_workflow("Errand", acts)
    assert (await end_of(handle)).type == "SagaRolledBack"
    again = await reset(client, handle, calls=calls)
    board = await until_state(again, "needs_attention")
    await tell(again, "resolve", step=board["waiting_for"][0]["step"], action="go_on")
    assert (await end_of(again)).type == "SagaRolledBack"
    assert (
        effects.what("done") == ["a", "b", "c", "a", "b", "c"][: 6 if calls == 0 else 3] + ["b", "c"] * calls
    )
    assert effects.effects() == {}
    assert await replays(again)
