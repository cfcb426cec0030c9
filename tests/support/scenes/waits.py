"""Tasks that wait for a person, for an event, for a while."""

from __future__ import annotations

from functools import partial
from typing import Any

from counterstep.tests.support.histories.history import until_asleep
from counterstep.tests.support.scenes.scene import OPEN, Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.tasks import tell, until_state, until_step
from counterstep.tests.support.tasks.work import put


def _asking(**keys: Any) -> list[dict[str, Any]]:
    ask = {"ask": "Go on with ${{ steps.a.output.what }}?", "show": "steps.a.output.what", **keys}
    return [put("a"), {"id": "ok", "approve": ask}, put("b", what="${{ steps.ok.output.value }} too")]


async def _approval(action: str, stage: Stage) -> Handle:
    handle = await stage.start(_asking())
    await until_state(handle, "waiting")
    value = {"value": "less"} if action == "edit" else {}
    await tell(handle, "decide", step="ok", action=action, note="looked at it", **value)
    return handle


for action, ends in (("approve", "completed"), ("edit", "completed"), ("reject", "SagaRolledBack")):
    scene(ends, f"approval_{action}")(partial(_approval, action))


@scene(OPEN)
async def approval_open(stage: Stage) -> Handle:
    handle = await stage.start(_asking(deadline="1d"))
    await until_state(handle, "waiting")
    return handle


@scene("completed")
async def approval_by_default(stage: Stage) -> Handle:
    return await stage.start(_asking(deadline="200ms", default="approve"))


@scene("completed")
async def event(stage: Stage) -> Handle:
    wait = {"event": "paid", "where": "event.order == task.order"}
    handle = await stage.start([put("a"), {"id": "paid", "needs": ["a"], "wait": wait}], {"order": 7})
    await until_step(handle, "paid", "waiting")
    for order in (8, 7):
        await handle.signal("event", {"name": "paid", "payload": {"order": order}})
    return handle


@scene("completed")
async def waited_a_while(stage: Stage) -> Handle:
    return await stage.start([{"id": "a", "wait": {"time": "200ms"}}, put("b", "a")])


@scene("cancelled")
async def cancelled_in_a_timer(stage: Stage) -> Handle:
    handle = await stage.start([put("a"), {"id": "b", "needs": ["a"], "wait": {"time": "1h"}}])
    await until_asleep(handle)
    await handle.cancel()
    return handle
