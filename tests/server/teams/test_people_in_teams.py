"""People who play in a team, and who decide where it has reached a limit."""

from __future__ import annotations

from typing import Any

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_asked

Field = tuple[Tasks, ModelServer]


def step(agent: str, **keys: Any) -> dict[str, Any]:
    return {"id": "w", "agent": f"crew.{agent}", "input": {"what": "tea"}, **keys}


def differ(models: ModelServer) -> None:
    """Two members put things on the desk, and have different opinions."""
    for name in ("ann", "bob"):
        models.for_model(name).reply(
            Behaviour.calls(call("put", what=name)), Behaviour.json({"verdict": name, "confidence": 1})
        )


async def test_a_person_has_a_vote(field: Field) -> None:
    tasks, models = field
    models.default = Behaviour.json({"verdict": "yes", "confidence": 1})
    handle = await tasks.start([step("mixed")], output="${{ steps.w.output }}")
    await until_asked(handle, "w/expert.2", "What do you think?")
    why = await refusal_of(handle, "decide", step="w/expert.2", action="answer", value={"nonsense": 1})
    assert "verdict" in why
    await tell(handle, "decide", step="w/expert.2", action="answer", value={"verdict": "yes"})
    end = await end_of(handle)
    assert (end.type, end.output["verdict"]) == ("completed", "yes")


async def test_a_person_supplies_what_a_team_does_not_agree_on(field: Field, effects: Desk) -> None:
    tasks, models = field
    differ(models)
    handle = await tasks.start([step("torn")], output="${{ steps.w.output.verdict }}")
    await until_asked(
        handle, "w", "crew.torn: the members do not agree: the most votes for one answer are 1 of 2"
    )
    (asked,) = (await board_of(handle))["waiting_for"]
    assert [answer["verdict"] for answer in asked["show"]["answers"]] == ["ann", "bob"]
    await tell(handle, "decide", step="w", action="supply", value={"verdict": "mine"})
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "mine")
    assert sorted(effects.what("undone")) == ["ann", "bob"]  # none of them was chosen


async def test_a_person_lets_a_team_fail_and_everything_is_undone(field: Field, effects: Desk) -> None:
    tasks, models = field
    differ(models)
    handle = await tasks.start([step("torn")])
    await until_asked(handle, "w", "crew.torn")
    await tell(handle, "decide", step="w", action="rollback")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "NoAgreement")
    assert sorted(effects.what("undone")) == ["ann", "bob"]


async def test_one_last_call_sums_up_and_the_step_is_degraded(field: Field, effects: Desk) -> None:
    tasks, models = field
    differ(models)
    models.for_model("ann").reply(Behaviour.json({"verdict": "perhaps", "confidence": 0.1}))
    handle = await tasks.start([step("hasty")], output="${{ steps.w.output.verdict }}")
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "perhaps")
    assert "do not agree" in (await board_of(handle))["steps"]["w"]["degraded"]
    assert "do not agree" in (await handle.result())["degraded"]["w"]
    assert sorted(effects.what("undone")) == ["ann", "bob"]


async def test_each_item_that_was_only_summed_up_is_told(field: Field, effects: Desk) -> None:
    tasks, models = field
    for _ in range(2):
        differ(models)
        models.for_model("ann").reply(Behaviour.json({"verdict": "perhaps", "confidence": 0.1}))
    handle = await tasks.start([step("hasty", for_each="[1, 2]", max_parallel=1)])
    assert (await end_of(handle)).type == "completed"
    assert (await handle.result())["degraded"]["w"].count("do not agree") == 2
