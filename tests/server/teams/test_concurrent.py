"""Concurrent on a real server: losers are undone, whatever happens."""

from __future__ import annotations

from typing import Any

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import Happened, board_of, told
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks

Field = tuple[Tasks, ModelServer]


def step(agent: str, **keys: Any) -> dict[str, Any]:
    return {"id": "w", "agent": f"crew.{agent}", "input": {"what": "tea"}, **keys}


def says(models: ModelServer, name: str, verdict: str, *puts: str) -> None:
    """A member puts things on the desk, and then has an opinion."""
    calls = [Behaviour.calls(*(call("put", what=what) for what in puts))] if puts else []
    models.for_model(name).reply(*calls, Behaviour.json({"verdict": verdict, "confidence": 1}))


async def test_a_vote_undoes_what_the_losers_did(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "ann", "no", "a")
    says(models, "bob", "yes", "b")
    says(models, "cid", "yes", "c")
    handle = await tasks.start([step("poll")], output="${{ steps.w.output.verdict }}")
    assert (await handle.result())["output"] == "yes"
    assert len(effects.effects()) == 1
    assert effects.what("undone")
    ids = (await Happened.in_(handle)).ids
    assert {"w/ann.1/model.1#1", "w/bob.2/model.1#1", "w/cid.3/model.1#1"} <= {*ids}


async def test_the_judge_decides_where_nobody_has_the_votes(field: Field, effects: Desk) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, name, name)
    says(models, "chair", "bob")
    end = await tasks.run([step("poll")])
    assert end.type == "completed"
    assert list(effects.effects()) == ["bob"]
    assert "What your team tells you" in told(models.requests[-1], "user")[-1]


async def test_a_member_that_fails_fails_the_team_and_everything_is_undone(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    says(models, "ann", "yes", "a")
    says(models, "bob", "yes", "b")
    models.for_model("cid").reply(Behaviour.calls(call("put", what="c")), *[Behaviour.json({"x": 1})] * 4)
    end = await tasks.run([step("survey")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "TeamFailed")
    assert sorted(effects.what("undone")) == ["a", "b", "c"]
    assert not effects.effects()


async def test_an_agent_asks_a_team_and_another_agent_like_tools(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.for_model("boss").reply(
        Behaviour.calls(call("poll", what="tea"), call("put", what="z")),
        Behaviour.json({"verdict": "done"}),
    )
    for name in ("ann", "bob", "cid"):
        says(models, name, "yes", name)
    handle = await tasks.start([step("boss")])
    await handle.result()
    assert "z" in effects.effects()
    asked, *moves = (await board_of(handle))["moves"]
    assert (asked["pattern"], asked["call"], asked["said"]) == ("delegates", "w/poll.1", {"what": "tea"})
    assert asked["state"] == "answered"
    assert asked["usage"]["model_calls"] >= 4
    assert [move["operation"] for move in moves][:3] == ["spawn"] * 3
    assert moves[0]["call"] == "w/poll.1/ann.1"
    assert moves[0]["usage"]["model_calls"] == 2
    assert (moves[-1]["operation"], moves[-1]["team"], moves[-1]["kept"]) == ("stop", "w", [1])


async def test_a_team_in_a_step_and_one_that_is_a_task(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = Behaviour.json({"verdict": "yes", "confidence": 1})
    inline = {"pattern": "concurrent", "members": ["crew.ann", "crew.bob"]}
    end = await tasks.run([{"id": "w", "team": inline, "input": {"what": "tea"}}])
    assert end.type == "completed"
    result = await tasks.client.execute_workflow(
        "crew.poll", {"what": "tea"}, id=f"poll-{tasks.task_queue}", task_queue=tasks.task_queue
    )
    assert result["output"] == {"verdict": "yes", "confidence": 1}
