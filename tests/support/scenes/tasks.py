"""Tasks that end by themselves, and tasks that are cancelled."""

from __future__ import annotations

from functools import partial

from counterstep.client import TaskClient, fork_task
from counterstep.tests.support.bundles.desk import HELD
from counterstep.tests.support.histories.history import TIMER_FIRED, until_event, until_heard, until_retry
from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.work import put, step

STEPS = "abcde"


@scene("completed")
async def completed(stage: Stage) -> Handle:
    rule = {"rule": "output.what != 'b'"}
    return await stage.start(
        [
            put("a"),
            {**put("b", "a", what="${{ steps.a.output.what }} and b"), "validate": [rule]},
            put("c", "a"),
            step("d", "desk.look", "b", "c"),
            step("e", "desk.set_label", "d") | {"input": {"name": "e", "value": "${{ task.label }}"}},
        ],
        {"label": "tidy"},
        output={"label": "${{ steps.e.output }}", "seen": "${{ steps.d.output.count }}"},
        goal="A tidy desk.",
    )


async def _failing_at(number: int, stage: Stage) -> Handle:
    steps = [put(id_, *STEPS[max(0, at - 1) : at]) for at, id_ in enumerate(STEPS)]
    steps[number - 1]["input"]["fail"] = "final"
    return await stage.start(steps)


for number in range(1, 6):
    scene("SagaRolledBack", f"rolled_back_at_{number}")(partial(_failing_at, number))


@scene("SagaRolledBack")
async def rolled_back_side_by_side(stage: Stage) -> Handle:
    return await stage.start(
        [put("a"), put("b", "a"), put("c", "a"), put("d", "a"), put("e", "b", "c", "d", fail="after")]
    )


@scene("SagaRolledBack")
async def rolled_back_one_by_one(stage: Stage) -> Handle:
    steps = [put("a"), put("b"), put("c", "a", "b", fail="final")]
    return await stage.start(steps, compensation={"order": "sequential"})


@scene("SagaRolledBack")
async def forked(stage: Stage) -> Handle:
    steps = [put("a"), put("b", "a"), put("c", "b", what="${{ steps.a.output.what }} and c")]
    request = {"spec": {"name": "test", "steps": steps}, "input": {}}
    first = await stage.client.start_workflow(
        "AgentTask", request, id=f"{stage.name}-first", task_queue=stage.task_queue
    )
    await first.result()
    changes = {"steps.c.input.fail": "after"}
    fork = await fork_task(stage.client, first.id, "b", changes=changes, new_id=stage.name)
    return stage.client.get_workflow_handle(fork.id, run_id=fork.run_id)


@scene("SagaRolledBack")
async def not_applied(stage: Stage) -> Handle:
    return await stage.start([put("a"), put("b", "a", fail="not_applied")])


@scene("SagaRolledBack")
async def timed_out(stage: Stage) -> Handle:
    return await stage.start([put("a"), {**put("b", "a", delay=1.5), "timeout": "1s"}])


@scene("SagaRolledBack")
async def deadline(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), put("b", "a", late=HELD), put("c", "b")], deadline="2s")
    await stage.effects.until("done", "b")
    await until_event(handle, TIMER_FIRED)
    stage.effects.release("b")
    return handle


@scene("InvalidSpec")
async def refused(stage: Stage) -> Handle:
    return await stage.start([{**put("a"), "tool": "desk.putt"}])


@scene("completed")
async def registered(stage: Stage) -> Handle:
    return await stage.start_workflow("desk.tidy", {"what": "cup"})


@scene("completed")
async def named_by_its_start(stage: Stage) -> Handle:
    """Its start has said its name and its state, so that it does not write them."""
    task = await TaskClient(stage.client, task_queue=stage.task_queue).start(
        "desk.tidy", {"what": "cup"}, id=stage.name
    )
    return task.handle


@scene("completed")
async def retried(stage: Stage) -> Handle:
    return await stage.start([{**put("a", fail="once"), "retry": {"attempts": 2, "initial": "50ms"}}])


# --- shapes


@scene("completed")
async def for_each(stage: Stage) -> Handle:
    each = {**put("each", what="${{ item }}"), "for_each": "task.things", "when": "item != 'x'"}
    return await stage.start(
        [{**each, "max_parallel": 2}, put("b", "each")], {"things": ["p", "x", "q", "r", "s"]}
    )


@scene("SagaRolledBack")
async def for_each_rolled_back(stage: Stage) -> Handle:
    fail = "${{ index == 2 ? 'final' : '' }}"
    each = {**put("each", "a", what="i${{ index }}", fail=fail), "for_each": "[1, 2, 3]", "max_parallel": 1}
    return await stage.start([put("a"), each])


MUCH = " ".join(["${{ size(task.things.filter(x, !task.things.exists(y, y < 0))) }}"] * 8)
"""Takes more than 0.25 s of 90 things, as it is estimated: one portion of work."""


@scene("SagaRolledBack")
async def much_to_work_out(stage: Stage) -> Handle:
    return await stage.start(
        [put("a"), put("b", "a", what=MUCH), put("c", "b", what=f"c {MUCH}"), put("d", "c", fail="final")],
        {"things": list(range(90))},
    )


@scene("SagaRolledBack")
async def much_to_work_out_beside_calls(stage: Stage) -> Handle:
    fail = "${{ item == 's' ? 'final' : '' }}"
    each = {**put("each", what=f"${{{{ item }}}} {MUCH}", fail=fail), "for_each": "['p', 'q', 'r', 's']"}
    return await stage.start([put("a", delay=0.1), each], {"things": list(range(90))})


@scene("completed")
async def group(stage: Stage) -> Handle:
    inner = {"steps": [put("x"), put("y", "x"), put("z", "x")]}
    return await stage.start([put("a"), {"id": "g", "needs": ["a"], "group": inner}, put("b", "g")])


@scene("completed")
async def group_skipped(stage: Stage) -> Handle:
    inner = {"steps": [put("x"), put("y", "x", fail="final")]}
    return await stage.start([{"id": "g", "group": inner, "on_failure": "skip"}, put("b", "g")])


@scene("completed")
async def skipped(stage: Stage) -> Handle:
    return await stage.start(
        [
            put("a"),
            {**put("b", "a", fail="after"), "on_failure": "skip"},
            {**put("c", "b"), "when": "steps.b.state != 'skipped'"},
            put("d", "c"),
        ]
    )


@scene("completed")
async def fallback(stage: Stage) -> Handle:
    failing = {**put("b", "a", fail="after"), "on_failure": {"fallback": "errands.put_instead"}}
    return await stage.start([put("a"), failing, put("c", "b")])


@scene("completed")
async def retry_from(stage: Stage) -> Handle:
    again = {**put("c", "b", fail="first"), "on_failure": {"retry_from": "b"}}
    return await stage.start([put("a"), put("b", "a"), put("aside", "a"), again, put("d", "c", "aside")])


@scene("completed")
async def retry_from_then_skip(stage: Stage) -> Handle:
    last_resort = {"retry_from": "b", "rounds": 2, "then": "skip"}
    return await stage.start([put("a"), {**put("b", "a", fail="after"), "on_failure": last_resort}])


@scene("SagaRolledBack")
async def precondition(stage: Stage) -> Handle:
    return await stage.start([put("a"), {**put("b", "a"), "precondition": "steps.a.output.what == 'b'"}])


# --- cancelled


@scene("cancelled")
async def cancelled_in_a_call(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), put("b", "a", delay=HELD), put("c", "b")])
    await stage.effects.until("begin", "b")
    await _cancel(handle)
    stage.effects.release("b")
    return handle


@scene("cancelled")
async def cancelled_in_a_back_off(stage: Stage) -> Handle:
    again = {"attempts": 3, "initial": "1s", "max": "1s"}
    handle = await stage.start([put("a"), {**put("b", "a", fail="once"), "retry": again}, put("c", "b")])
    await until_retry(handle)
    await _cancel(handle)
    return handle


@scene("cancelled")
async def cancelled_side_by_side(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), put("b", "a"), put("c", "a", late=HELD), put("d", "b", "c")])
    await stage.effects.until("done", "c")
    await _cancel(handle)
    stage.effects.release("c")
    return handle


@scene("SagaRolledBack")
async def cancelled_in_a_rollback(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), put("b", "a", undo_delay=HELD), put("c", "b", fail="final")])
    await stage.effects.until("undo", "b")
    await _cancel(handle)
    await handle.cancel()
    stage.effects.release("undo b")
    return handle


async def _cancel(handle: Handle) -> None:
    await handle.cancel()
    await until_heard(handle)
