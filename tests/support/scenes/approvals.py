"""Tasks whose calls need a person's yes, and agents that repeat themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.bundles.desk import HELD
from counterstep.tests.support.scenes.scene import OPEN, Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.tasks import tell, until_asked, until_step
from counterstep.tests.support.tasks.work import put

CASHIER = {"id": "c", "agent": "till.cashier", "input": {}}


async def answer(
    handle: Handle, step: str, action: str, *, by: str = "ann", why: str = "", **more: Any
) -> None:
    """Answers what is asked about a call, as it is shown."""
    await until_asked(handle, step, why)
    board = await handle.query("board")
    asked = next(asked for asked in board["waiting_for"] if asked["step"] == step)
    await tell(handle, "decide", step=step, action=action, hash=asked["hash"], by=by, **more)


async def _decided(action: str, stage: Stage) -> Handle:
    pay = {"id": "p", "needs": ["a"], "tool": "till.pay", "input": {"what": "tea"}}
    handle = await stage.start([put("a"), pay])
    value = {"what": "tea", "cents": 1} if action == "edit" else None
    await answer(handle, "p", action, value=value)
    return handle


for action, ends in (("approve", "completed"), ("edit", "completed"), ("reject", "SagaRolledBack")):
    scene(ends, f"call_{action}")(partial(_decided, action))


@scene("SagaRolledBack")
async def call_expired(stage: Stage) -> Handle:
    demand = {"tool": "desk.put", "deadline": "200ms"}
    return await stage.start([put("a")], approvals=[demand])


@scene(OPEN)
async def call_open(stage: Stage) -> Handle:
    handle = await stage.start([put("a")], approvals=[{"tool": "desk.put"}])
    await until_asked(handle, "a")
    return handle


@scene("completed")
async def call_asked_anew(stage: Stage) -> Handle:
    charge = {"id": "q", "tool": "till.charge", "input": {"what": "tea", "cents": 1, "late": HELD}}
    handle = await stage.start([{"id": "p", "tool": "till.top_up", "input": {"what": "tea"}}, charge])
    await until_asked(handle, "p", "at 0?")
    stage.effects.release("tea")
    await until_step(handle, "q", "completed")
    await answer(handle, "p", "approve", why="at 0?")
    await answer(handle, "p", "approve", why="at 1?")
    return handle


@scene("completed")
async def calls_of_an_agent(stage: Stage) -> Handle:
    stage.models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea"), call("charge", what="milk", cents=1)),
        Behaviour.calls(call("pay", what="tea", cents=5500), call("charge", what="milk", cents=1)),
        Behaviour.calls(call("pay", what="tea", cents=9000)),
        Behaviour.text("Done."),
    )
    handle = await stage.start([CASHIER])
    await answer(handle, "c/tool.1", "always")
    await answer(handle, "c/tool.4", "reject")
    return handle


@scene("completed")
async def pivot_of_an_agent(stage: Stage) -> Handle:
    stage.models.for_model("banker").reply(
        Behaviour.calls(call("pay", what="tea", cents=1)),
        Behaviour.calls(call("wire", what="gold", cents=1)),
        Behaviour.calls(call("charge", what="tax", cents=1)),
        Behaviour.text("Done."),
    )
    handle = await stage.start([{"id": "c", "agent": "till.banker", "input": {}, "effect": "pivot"}])
    await answer(handle, "c/tool.2", "approve")
    await answer(handle, "c/tool.2", "approve", by="bob")
    return handle
