"""Tasks in which a person has a say, and tasks past their point of no return."""

from __future__ import annotations

from functools import partial
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from counterstep.tests.support.bundles.desk import HELD
from counterstep.tests.support.histories.history import CALL_COMPLETED, TURN_COMPLETED, events_of
from counterstep.tests.support.scenes.scene import OPEN, Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.recovery import recover
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked, until_state
from counterstep.tests.support.tasks.work import put, step

STUCK = [put("a"), put("b", "a", undo="broken"), put("c"), put("d", "b", "c", fail="final")]


async def _resolved(action: str, stage: Stage) -> Handle:
    handle = await stage.start(STUCK)
    await until_state(handle, "needs_attention")
    stage.effects.repair("b")
    await tell(handle, "resolve", step="b", action=action, note="looked at it")
    return handle


for action, ends in (
    ("retry", "SagaRolledBack"),
    ("done", "SagaRolledBack"),
    ("skip", "SagaRollbackIncomplete"),
):
    scene(ends, f"attention_{action}")(partial(_resolved, action))


@scene(OPEN)
async def attention_open(stage: Stage) -> Handle:
    handle = await stage.start(STUCK)
    await until_state(handle, "needs_attention")
    return handle


@scene("completed")
async def told_past_the_pivot(stage: Stage) -> Handle:
    broken = [
        {**step("r", "desk.announce", "p"), "when": "facts.late"},
        {**step("s", "desk.announce", "p"), "for_each": "facts.late"},
    ]
    output = {"x": "${{ steps.p.output.what + facts.late }}"}
    handle = await stage.start([step("p", "desk.hand_over"), *broken], output=output)
    for name in ("r", "s"):
        await until_asked(handle, name)
        await tell(handle, "decide", step=name, action="skip")
    await until_asked(handle, "task")
    await tell(handle, "decide", step="task", action="supply", value={"x": "told"})
    return handle


@scene("SagaRollbackIncomplete")
async def gave_up(stage: Stage) -> Handle:
    return await stage.start(STUCK, compensation={"give_up": "300ms"})


async def _decided(action: str, stage: Stage) -> Handle:
    failing = {**put("b", "a", fail="first"), "on_failure": "escalate"}
    handle = await stage.start([put("a"), failing, put("c", "b")])
    await until_state(handle, "waiting")
    value = {"value": {"what": "b", "key": "by hand"}} if action == "supply" else {}
    await tell(handle, "decide", step="b", action=action, **value)
    return handle


for action, ends in (
    ("retry", "completed"),
    ("skip", "completed"),
    ("supply", "completed"),
    ("rollback", "SagaRolledBack"),
):
    scene(ends, f"escalated_{action}")(partial(_decided, action))


@scene(OPEN)
async def escalated_open(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), {**put("b", "a", fail="first"), "on_failure": "escalate"}])
    await until_state(handle, "waiting")
    return handle


@scene("completed")
async def amended(stage: Stage) -> Handle:
    handle = await stage.start(
        [
            put("flight"),
            {**step("hotel", "desk.put", "flight"), "when": "!has(facts.late) || facts.late < 5"},
            put("taxi", "hotel"),
            put("museum", "flight"),
            step("dinner", "desk.put", "taxi", "museum", delay=HELD),
        ]
    )
    await stage.effects.until("begin", "dinner")
    await tell(handle, "amend", facts={"late": 2}, note="the flight is late")
    stage.effects.release("dinner")
    return handle


@scene("completed")
async def amended_step(stage: Stage) -> Handle:
    inner = {"id": "g", "group": {"steps": [put("x"), put("y", "x")]}}
    handle = await stage.start([inner, put("b", "g"), put("c", "b", delay=HELD)])
    await stage.effects.until("begin", "c")
    await tell(handle, "amend", invalidates=["y"], note="y has broken")
    stage.effects.release("c")
    return handle


# --- past the point of no return


def _pivoting(tool: str = "hand_over", **arguments: Any) -> list[dict[str, Any]]:
    return [put("a"), step("p", f"desk.{tool}", "a", **arguments), step("r", "desk.announce", "p")]


@scene("completed")
async def pivot(stage: Stage) -> Handle:
    return await stage.start(_pivoting())


@scene("SagaRolledBack")
async def pivot_failed(stage: Stage) -> Handle:
    return await stage.start(_pivoting(fail="not_applied"))


async def _settled(action: str, stage: Stage) -> Handle:
    handle = await stage.start(_pivoting(fail="after" if action == "applied" else "before"))
    await until_state(handle, "needs_attention")
    value = {"value": {"what": "p", "key": "seen"}} if action == "applied" else {}
    await tell(handle, "resolve", step="p", action=action, **value)
    return handle


scene("completed", "pivot_applied")(partial(_settled, "applied"))
scene("SagaRolledBack", "pivot_not_applied")(partial(_settled, "not_applied"))


@scene("completed")
async def pivot_cancelled(stage: Stage) -> Handle:
    handle = await stage.start(_pivoting(late=HELD))
    await stage.effects.until("done", "p")
    await handle.cancel()
    stage.effects.release("p")
    return handle


# --- ended by force


@scene("completed")
async def recovered(stage: Stage) -> list[Handle]:
    rest = step("rest", "desk.look", "a", "b", delay=HELD)
    handle = await stage.start([put("a"), put("b", "a"), rest])
    await stage.effects.until("look", "rest")
    await handle.terminate("a test")
    stage.effects.release("rest")
    await recover(stage, handle)
    name = f"{handle.id}/recover/{handle.first_execution_run_id}"
    return [stage.client.get_workflow_handle(name), handle]


@scene("completed")
async def reset(stage: Stage) -> list[Handle]:
    handle = await stage.start([put("a"), put("b", "a"), put("c", "b")])
    await end_of(handle)
    events = await events_of(handle)
    first_answer = next(event.event_id for event in events if event.event_type == CALL_COMPLETED)
    turns = [event.event_id for event in events if event.event_type == TURN_COMPLETED]
    answer = await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="a test",
            request_id=handle.id,
            workflow_task_finish_event_id=next(turn for turn in turns if turn > first_answer),
        )
    )
    return [stage.client.get_workflow_handle(handle.id, run_id=answer.run_id), handle]
