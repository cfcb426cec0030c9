"""Sagas in workflows of one's own."""

from __future__ import annotations

from counterstep.tests.support.bundles.desk import HELD
from counterstep.tests.support.histories.history import until_asleep, until_heard
from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.tasks import tell, until_state
from counterstep.tests.support.tasks.work import act


@scene("completed")
async def saga(stage: Stage) -> Handle:
    return await stage.start_workflow("FiveSteps", False)


@scene("SagaRolledBack")
async def saga_rolled_back(stage: Stage) -> Handle:
    return await stage.start_workflow("FiveSteps", True)


@scene("SagaRolledBack")
async def saga_with_a_bug(stage: Stage) -> Handle:
    return await stage.start_workflow("Buggy", "inside")


@scene("cancelled")
async def saga_cancelled_in_a_call(stage: Stage) -> Handle:
    handle = await stage.start_workflow("Errand", [act("put", "a"), act("put", "b", late=HELD)])
    await stage.effects.until("done", "b")
    await handle.cancel()
    await until_heard(handle)
    stage.effects.release("b")
    return handle


@scene("cancelled")
async def saga_cancelled_in_a_timer(stage: Stage) -> Handle:
    handle = await stage.start_workflow("Errand", [act("put", "a"), {"sleep": 600}, act("put", "b")])
    await until_asleep(handle)
    await handle.cancel()
    return handle


@scene("completed")
async def saga_gather(stage: Stage) -> Handle:
    return await stage.start_workflow(
        "Errand", [{"gather": [act("put", "a"), act("put_async", "b")]}, act("look", "c")]
    )


@scene("SagaRolledBack")
async def saga_gather_rolled_back(stage: Stage) -> Handle:
    both = {"gather": [act("put", "b", late=0.3), act("put", "c", fail="final")]}
    return await stage.start_workflow("Errand", [act("put", "a"), both])


@scene("completed")
async def saga_of_plain_activities(stage: Stage) -> Handle:
    return await stage.start_workflow("Errand", [act("plain", "a"), {"catch": act("put", "b", fail="final")}])


@scene("completed")
async def saga_pivot(stage: Stage) -> Handle:
    return await stage.start_workflow(
        "Errand", [act("put", "a"), act("hand_over", "p"), act("announce", "r")]
    )


@scene("SagaRolledBack")
async def saga_attention(stage: Stage) -> Handle:
    acts = [act("put", "a"), act("put_for_good", "b"), act("put", "c", fail="final")]
    handle = await stage.start_workflow("Errand", acts)
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="put_for_good", action="done")
    return handle
