"""Events that start tasks, alone and together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import QUEUE, Stage


def _event(topic: str, stage: Stage, **more: Any) -> dict[str, Any]:
    return {"topic": topic, "key": stage.name, "payload": {"what": stage.name, **more}}


@scene("completed")
async def event_published(stage: Stage) -> Handle:
    handle = await stage.start_workflow("counterstep.publish", _event("found", stage))
    await handle.result()
    await stage.client.get_workflow_handle(f"desk.found/{stage.name}").result()
    return handle


@scene("completed")
async def event_published_twice(stage: Stage) -> Handle:
    first = await stage.client.start_workflow(
        "counterstep.publish", _event("found", stage), id=f"{stage.name}/first", task_queue=QUEUE
    )
    await first.result()
    return await stage.start_workflow("counterstep.publish", _event("found", stage))


@scene("UnknownTopic")
async def event_unknown(stage: Stage) -> Handle:
    return await stage.start_workflow("counterstep.publish", _event("fond", stage))


@scene("completed", short_histories=True)
async def events_joined(stage: Stage) -> Sequence[Handle]:
    for number in range(8):
        again = await stage.client.start_workflow(
            "counterstep.publish", _event("dried", stage), id=f"{stage.name}/{number}", task_queue=QUEUE
        )
        await again.result()
    last = await stage.start_workflow("counterstep.publish", _event("washed", stage))
    await last.result()
    await stage.client.get_workflow_handle(f"desk.clean/{stage.name}").result()
    join = stage.client.get_workflow_handle(f"join/desk.clean/{stage.name}")
    runs = stage.client.list_workflows(f"WorkflowId = '{join.id}'")
    first = [run.run_id async for run in runs][-1]
    return [last, stage.client.get_workflow_handle(join.id, run_id=first)]
