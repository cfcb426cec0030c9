"""Tasks whose agents hand their conversation over."""

from __future__ import annotations

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.work import put

SETTLED = Behaviour.json({"decision": "paid"})


@scene("SagaRolledBack")
async def handed_over(stage: Stage) -> Handle:
    stage.models.for_model("desk").reply(
        Behaviour.calls(
            call("put", what="cup"), call("transfer_to_fraud", claim="c1"), call("transfer_to_medic")
        )
    )
    stage.models.for_model("fraud").reply(Behaviour.calls(call("put", what="pen")), SETTLED)
    settle = {"id": "s", "agent": "claims.desk", "input": {"claim": "c1"}}
    return await stage.start([settle, put("b", "s", fail="final")])


@scene("completed")
async def handed_over_too_often(stage: Stage) -> Handle:
    stage.models.for_model("finisher").reply(Behaviour.calls(call("transfer_to_pong")))
    stage.models.for_model("pong").reply(Behaviour.calls(call("transfer_to_finisher")), SETTLED)
    return await stage.start([{"id": "s", "agent": "claims.finisher", "input": {}}])
