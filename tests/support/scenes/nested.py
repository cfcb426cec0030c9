"""Tasks in tasks, and tasks whose history continues as new."""

from __future__ import annotations

from typing import Any

from counterstep.testing.model_behaviour import Behaviour
from counterstep.tests.support.bundles.agents import step
from counterstep.tests.support.bundles.desk import HELD
from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked, until_state
from counterstep.tests.support.tasks.work import put

LETTERS = "abcdefg"


def child(id_: str, workflow: str, *needs: str, input: Any = None, **keys: Any) -> dict[str, Any]:
    """A step that runs a child workflow."""
    return {"id": id_, "needs": list(needs), "workflow": workflow, "input": input or {}, **keys}


@scene("completed")
async def nested(stage: Stage) -> Handle:
    return await stage.start([put("a"), child("mid", "nest.middle", "a"), put("b", "mid")])


@scene("SagaRolledBack")
async def nested_rolled_back(stage: Stage) -> Handle:
    return await stage.start([put("a"), child("mid", "nest.middle", "a"), put("b", "mid", fail="final")])


@scene("SagaRolledBack")
async def nested_failed_inside(stage: Stage) -> Handle:
    return await stage.start([put("a"), child("mid", "nest.middle", "a", input={"fail": "final"})])


@scene("cancelled")
async def nested_cancelled(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await stage.effects.until("done", "i2")
    await handle.cancel()
    stage.effects.release("i2")
    return handle


@scene("SagaRolledBack")
async def nested_waits(stage: Stage) -> Handle:
    handle = await stage.start([child("mid", "nest.asks"), put("b", "mid")])
    inner = stage.child("mid#1/inner#1")
    await until_state(handle, "waiting")
    await tell(inner, "decide", step="ok", action="approve")
    await until_asked(handle, "sure")
    await tell(inner, "decide", step="sure", action="reject")
    await until_state(handle, "needs_attention")
    await tell(inner, "resolve", step="q1", action="done")
    return handle


@scene("SagaRolledBack")
async def child_cancelled(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), child("mid", "nest.middle", "a", input={"late": HELD})])
    await stage.effects.until("done", "i2")
    await stage.child("mid#1").cancel()
    stage.effects.release("i2")
    return handle


@scene("completed")
async def child_cancelled_that_has_asked_a_model(stage: Stage) -> Handle:
    stage.models.for_model("writer").default = Behaviour.text("words")
    steps = [step("writer"), put("x", "writer", late=HELD)]
    spec = {"name": "asks", "steps": steps}
    handle = await stage.start(
        [child("ch", "AgentTask", input={"spec": spec}, task_queue=stage.task_queue, on_failure="skip")]
    )
    await stage.effects.until("done", "x")
    await stage.child("ch#1").cancel()
    stage.effects.release("x")
    return handle


@scene("SagaRolledBack")
async def child_terminated(stage: Stage) -> list[Handle]:
    handle = await stage.start([put("a"), child("ch", "nest.inner", "a", input={"late": HELD})])
    await stage.effects.until("done", "i2")
    ended = stage.child("ch#1")
    await ended.terminate()
    stage.effects.release("i2")
    await end_of(handle)
    run = (await ended.describe()).run_id
    return [handle, stage.client.get_workflow_handle(f"{ended.id}/recover/{run}")]


@scene("SagaRolledBack")
async def nested_workflows_of_ones_own(stage: Stage) -> Handle:
    own = child("own", "Own", input={"things": ["x", "y"]})
    return await stage.start(
        [own, child("plain", "Plain", "own", input={"word": "z"}), put("b", "plain", fail="final")]
    )


# --- long ones


def chain(**last: Any) -> list[dict[str, Any]]:
    """Steps one after the other, more than one history of this kind takes."""
    steps = [put(name, *LETTERS[max(0, at - 1) : at]) for at, name in enumerate(LETTERS)]
    steps[-1]["input"].update(last)
    return steps


@scene("completed", short_histories=True)
async def continued(stage: Stage) -> Handle:
    return await stage.start(chain(), output={"first": "${{ steps.a.output.what }}"})


@scene("SagaRolledBack", short_histories=True)
async def continued_rolled_back(stage: Stage) -> Handle:
    return await stage.start(chain(fail="final"))


@scene("completed", short_histories=True)
async def continued_amended(stage: Stage) -> Handle:
    steps = chain(delay=HELD)
    steps[1]["input"]["what"] = "${{ has(facts.b) ? facts.b : 'b' }}"
    handle = await stage.start(steps)
    await stage.effects.until("begin", LETTERS[-1])
    await tell(stage.client.get_workflow_handle(handle.id), "amend", facts={"b": "better"})
    stage.effects.release(LETTERS[-1])
    return handle


@scene("SagaRolledBack", short_histories=True)
async def continued_child(stage: Stage) -> Handle:
    return await stage.start([child("long", "desk.long", input={"n": 12}), put("b", "long", fail="final")])
