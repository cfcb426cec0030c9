"""Tasks with plans: changed in the middle, made anew after a failure, gone on in a new run."""

from __future__ import annotations

from typing import Any

from counterstep.tests.support.bundles.desk import HELD
from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.tasks import tell
from counterstep.tests.support.tasks.work import put

PLANNED = "${{ has(facts.plan) ? facts.plan : size(feedback) > 0 ? task.better : task.plan }}"


def op(id_: str, *after: str, **arguments: Any) -> dict[str, Any]:
    """An operation that puts a thing on the desk."""
    return {"id": id_, "after": list(after), "input": {"what": id_, **arguments}}


def steps(*more: dict[str, Any], **keys: Any) -> list[dict[str, Any]]:
    """An agent that plans, and a step that does what it has planned."""
    plan = {"id": "plan", "agent": "desk.planner", "input": {"items": PLANNED}}
    ops = {
        "id": "ops",
        "tool": "desk.put",
        "for_each": "steps.plan.output.items",
        "key": "item.id",
        "after": "item.after",
        "input": "${{ item.input }}",
        "retry": {"attempts": 1},
        **keys,
    }
    return [plan, ops, *more]


@scene("completed")
async def plan_changed(stage: Stage) -> Handle:
    plan = [op("a"), op("b", "a"), op("c", "b"), op("d", delay=HELD)]
    handle = await stage.start(steps(put("end", "ops")), {"plan": plan, "better": []})
    await stage.effects.until("done", "c")
    await stage.effects.until("begin", "d")
    changed = [op("a"), op("b", "a", size=1), op("e", "a"), op("d", delay=HELD)]
    await tell(handle, "amend", facts={"plan": changed}, note="c is not wanted any more")
    await stage.effects.until("done", "e")
    stage.effects.release("d")
    return handle


@scene("completed")
async def plan_made_anew(stage: Stage) -> Handle:
    again = steps(on_failure={"retry_from": "plan", "rounds": 2})
    plan = [op("a"), op("b", "a", fail="after")]
    return await stage.start(again, {"plan": plan, "better": [op("a"), op("c", "a")]})


@scene("SagaRolledBack")
async def plan_refused(stage: Stage) -> Handle:
    return await stage.start(steps(), {"plan": [op("a", "b"), op("b", "a")], "better": []})


@scene("SagaRolledBack", short_histories=True)
async def plan_continued_rolled_back(stage: Stage) -> Handle:
    plan = [op(f"p{at}", *([f"p{at - 1}"] if at else [])) for at in range(12)]
    return await stage.start(steps(put("end", "ops", fail="final")), {"plan": plan, "better": []})


@scene("completed")
async def plan_of_a_saga(stage: Stage) -> Handle:
    plan = [{**op(id_), "tool": "desk.put"} for id_ in ("a", "b", "c")]
    amended = [plan[0], {**op("b", size=1), "tool": "desk.put"}]
    return await stage.start_workflow("Errand", [{"plan": plan, "amend": amended}])
