"""Tasks with model agents, validators and judges."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from counterstep.saga.agents.model_protocol import ABANDON
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.bundles.agents import step
from counterstep.tests.support.scenes.scene import Handle, scene
from counterstep.tests.support.scenes.stage import Stage
from counterstep.tests.support.tasks.work import put

JUDGE = {"judge": {"model": "openai/judge", "criteria": "It is tidy."}}


@scene("completed")
async def agent(stage: Stage) -> Handle:
    stage.models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup"), call("look", what="cup")),
        Behaviour.calls(call("put", what="pen")),
        Behaviour.json({"placed": ["cup", "pen"]}),
    )
    return await stage.start([step("clerk", validate=[{"check": "team.did_what_it_says"}])])


@scene("SagaRolledBack")
async def agent_rolled_back(stage: Stage) -> Handle:
    stage.models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")), Behaviour.json({"placed": ["cup"]})
    )
    return await stage.start([step("clerk"), put("b", "clerk", fail="final")])


@scene("completed")
async def agent_corrected(stage: Stage) -> Handle:
    stage.models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup", fail="final")),
        Behaviour.calls(call("putt", what="cup")),
        Behaviour.text("no report"),
        Behaviour.json({"placed": []}),
    )
    return await stage.start([step("clerk")])


@scene("SagaRolledBack")
async def agent_gave_up(stage: Stage) -> Handle:
    stage.models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup")), *[Behaviour.calls(call(ABANDON.name, reason="full"))] * 2
    )
    return await stage.start([put("a"), step("clerk", needs=["a"])])


@scene("SagaRolledBack")
async def budget(stage: Stage) -> Handle:
    stage.models.for_model("clerk").default = Behaviour.calls(call("put", what="x"))
    return await stage.start([step("clerk")], budget={"model_calls": 2})


@scene("completed", short_histories=True)
async def agent_with_much_to_say(stage: Stage) -> Handle:
    turns = [Behaviour.calls(call("look", what=f"t{turn}")) for turn in range(1, 23)]
    stage.models.for_model("tireless").reply(*turns, Behaviour.json({"placed": []}))
    return await stage.start([step("tireless"), put("b", "tireless")])


# --- agents that are processes


def _program(name: str, *lists: Any, agent: str = "program", **given: Any) -> list[dict[str, Any]]:
    given = {"mode": "does", "lists": lists, "remember": f"{name}-{uuid4()}", **given}
    return [{"id": "program", "agent": f"team.{agent}", "input": given, "retry": {"initial": "100ms"}}]


@scene("completed")
async def process_agent(stage: Stage) -> Handle:
    stage.models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="cup"), call("look", what="cup")),
        Behaviour.calls(call("put", what="pen")),
        Behaviour.text("done"),
    )
    given = {"wish": "Tidy up.", "model": "clerk"}
    return await stage.start([{"id": "program", "agent": "team.program", "input": given}])


@scene("SagaRolledBack")
async def process_agent_rolled_back(stage: Stage) -> Handle:
    steps = _program(stage.name, [("put", {"what": "cup"}), ("look", {"what": "cup"})])
    return await stage.start([*steps, put("b", "program", fail="final")])


@scene("completed")
async def process_agent_that_changes_its_mind(stage: Stage) -> Handle:
    first = [("put", {"what": "cup"}), ("put", {"what": "pen"})]
    return await stage.start(_program(stage.name, first, [first[0], ("put", {"what": "ink"})]))


@scene("completed")
async def process_agent_that_comes_back_to_it(stage: Stage) -> Handle:
    cup, pen, ink = (("put", {"what": what}) for what in ("cup", "pen", "ink"))
    return await stage.start(_program(stage.name, [cup, pen], [cup, ink], [cup, pen], agent="tidy_program"))


@scene("completed")
async def process_agent_that_breaks_in_an_undo(stage: Stage) -> Handle:
    slowly = {"undo_delay": 6}
    return await stage.start(_program(stage.name, agent="tidy_program", mode="leaves", code=1, slowly=slowly))


# --- verdicts


def _checked(*validate: Any, **keys: Any) -> list[dict[str, Any]]:
    return [put("a"), {**put("b", "a"), "validate": list(validate), **keys}]


@scene("completed")
async def validated(stage: Stage) -> Handle:
    rule = {"rule": "output.what == 'b'", "message": "not b"}
    return await stage.start(_checked(rule, {"check": "desk.agree_fast"}, {"check": "desk.agree"}))


@scene("SagaRolledBack")
async def rejected(stage: Stage) -> Handle:
    return await stage.start(_checked({"check": "desk.refuse"}))


@scene("SagaRolledBack")
async def rejected_by_a_rule(stage: Stage) -> Handle:
    return await stage.start(_checked({"rule": "output.what == task.wanted"}), {"wanted": "c"})


@scene("SagaRolledBack")
async def rejected_by_a_fast_validator(stage: Stage) -> Handle:
    return await stage.start(_checked({"check": "team.crash_fast"}))


@scene("completed")
async def rejected_and_skipped(stage: Stage) -> Handle:
    return await stage.start(_checked({"check": "desk.crash"}, on_reject="skip"))


@scene("completed")
async def judged(stage: Stage) -> Handle:
    stage.models.for_model("judge").default = Behaviour.json({"score": 0.9, "reasons": ["tidy"]})
    return await stage.start(
        _checked(JUDGE), validate=[JUDGE], output={"first": "${{ steps.a.output.what }}"}
    )


@scene("SagaRolledBack")
async def judged_bad(stage: Stage) -> Handle:
    stage.models.for_model("judge").default = Behaviour.json({"score": 0.1, "reasons": ["untidy"]})
    return await stage.start(_checked(JUDGE))
