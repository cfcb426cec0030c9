"""A team is used wherever an agent is: by workflows, as a fallback, under for_each, beside Python code."""

from __future__ import annotations

from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import Happened, told
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of

Field = tuple[Tasks, ModelServer]


def all_put(models: ModelServer, *names: str) -> None:
    """Each puts a thing of its own name on the desk, and says yes."""
    for name in names:
        yes = Behaviour.json({"verdict": "yes", "confidence": 1})
        models.for_model(name).reply(Behaviour.calls(call("put", what=name)), yes)


async def test_a_workflow_calls_a_team(field: Field, effects: Desk) -> None:
    tasks, models = field
    all_put(models, "ann", "bob", "cid")
    handle = await tasks.start_workflow("crew.asks_a_team", "tea")
    assert await handle.result() == "yes"
    assert len(effects.effects()) == 1


async def test_a_bug_behind_a_team_undoes_what_it_did(field: Field, effects: Desk) -> None:
    tasks, models = field
    all_put(models, "ann", "bob", "cid")
    end = await end_of(await tasks.start_workflow("crew.asks_a_team", "tea", True))
    assert end.type == "SagaRolledBack"
    assert sorted(effects.what("undone")) == sorted(effects.what("done"))
    assert not effects.effects()


async def test_a_team_is_a_fallback_and_has_items(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = Behaviour.json({"verdict": "yes", "confidence": 1})
    broken = {
        "id": "w",
        "tool": "desk.put",
        "input": {"what": "x", "fail": "before"},
        "retry": {"attempts": 1},
    }
    items = {"id": "v", "for_each": "[1, 2]", "agent": "crew.poll", "input": {"item": "${{ item }}"}}
    handle = await tasks.start([{**broken, "on_failure": {"fallback": "crew.poll"}}, items])
    assert (await end_of(handle)).type == "completed"
    ids = (await Happened.in_(handle)).ids
    assert {"w/ann.1/model.1#2", "v[0]/ann.1/model.1#1", "v[1]/cid.3/model.1#1"} <= {*ids}


async def test_python_code_is_told_what_the_team_knows(field: Field, effects: Desk) -> None:
    tasks, models = field
    models.default = Behaviour.json({"verdict": "yes", "confidence": 1})
    step = {"id": "w", "agent": "crew.relay", "input": {"what": "tea"}}
    end = await tasks.run([step], output="${{ steps.w.output.verdict }}")
    assert (end.type, end.output) == ("completed", "2")
    assert list(effects.effects()) == ["tea"]


async def test_agents_among_tools_are_asked_side_by_side_and_a_failure_is_told(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    models.for_model("lead").reply(
        Behaviour.calls(call("mover", what="tea"), call("poll", what="tea"), call("nobody")),
        Behaviour.json({"verdict": "done"}),
    )
    models.for_model("ann").reply(*[Behaviour.json({"x": 1})] * 4)
    all_put(models, "bob", "cid")
    models.for_model("bob").default = models.for_model("cid").default = Behaviour.json({"verdict": "no"})
    models.for_model("chair").reply(Behaviour.json({"verdict": "yes"}))
    end = await tasks.run([{"id": "w", "agent": "crew.lead", "input": {"what": "tea"}}])
    assert end.type == "completed"
    answers = told(models.requests[-1], "tool")
    assert '"verdict": "0"' in answers[0]
    assert '"verdict": "yes"' in answers[1]
    assert "there is no tool 'nobody'" in answers[2]
    assert "tea" in effects.effects()
