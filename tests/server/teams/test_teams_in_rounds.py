"""Teams that answer side by side, on a real server: what is superseded is undone before anybody sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer, ReceivedRequest
from counterstep.tests.support.bundles.agents import team_at_work, team_word
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.rounds import rounds
from counterstep.tests.support.tasks.tasks import End, Tasks, end_of

Field = tuple[Tasks, ModelServer]


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, crew, rounds]) as shop:
        yield shop


def says(models: ModelServer, name: str, verdict: str, puts: str = "", confidence: float = 1) -> None:
    """A member puts something on the desk, and then has an opinion."""
    done = [Behaviour.calls(call("put", what=puts))] if puts else []
    models.for_model(name).reply(*done, Behaviour.json(opinion(verdict, confidence)))


def opinion(verdict: str, confidence: float = 1) -> dict[str, Any]:
    return {"verdict": verdict, "confidence": confidence}


async def ended(tasks: Tasks, team: str) -> End:
    step = {"id": "w", "agent": f"rounds.{team}", "input": {"what": "tea"}}
    return await end_of(await tasks.start([step], output="${{ steps.w.output.verdict }}"))


def of(models: ModelServer, name: str) -> list[ReceivedRequest]:
    return [request for request in models.requests if request.model == name]


async def test_a_round_is_undone_before_the_next_and_in_the_end_one_answer_stands(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, name, f"{name} 1")
        says(models, name, "same", f"{name} 2")
    end = await ended(tasks, "debate")
    assert (end.type, end.output) == ("completed", "same")
    happened = effects.what("done", "undone")
    assert sorted(happened[:6]) == sorted([f"{name} 1" for name in ("ann", "bob", "cid")] * 2)
    (standing,) = effects.effects()
    assert standing.endswith(" 2")
    assert team_word(of(models, "ann")[2])["answers"] == {"bob": opinion("bob"), "cid": opinion("cid")}


async def test_a_debate_whose_members_fail_in_the_second_round_undoes_everything(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, name, f"{name} 1")
    says(models, "ann", "ann", "ann 2")
    for name in ("bob", "cid"):
        nonsense = [Behaviour.json({"x": 1})] * 4
        models.for_model(name).reply(Behaviour.calls(call("put", what=f"{name} 2")), *nonsense)
    end = await ended(tasks, "debate")
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "TeamFailed")
    assert "1 of 3 members are left, too few for a debate" in end.failure["message"]
    assert sorted(effects.what("undone")) == sorted(effects.what("done"))
    assert not effects.effects()


async def test_a_tie_goes_to_the_judge_and_what_it_chooses_stands(field: Field, effects: Desk) -> None:
    tasks, models = field
    for name in ("ann", "bob", "cid"):
        says(models, name, name)
        says(models, name, name, f"{name} 2")
    says(models, "chair", "bob")
    assert (await ended(tasks, "debate")).output == "bob"
    assert list(effects.effects()) == ["bob 2"]
    assert team_word(of(models, "chair")[0])["answers"] == [opinion(name) for name in ("ann", "bob", "cid")]


async def test_layers_are_sampled_warmly_and_only_what_the_aggregator_does_stands(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    for name in ("ann", "bob"):
        says(models, name, f"{name} 1", f"{name} 1")
        says(models, name, f"{name} 2", f"{name} 2")
    says(models, "editor", "all", "e")
    assert (await ended(tasks, "layers")).output == "all"
    assert list(effects.effects()) == ["e"]
    assert effects.what("done", "undone")[-1] == "e"
    assert {request.body.get("temperature") for name in ("ann", "bob") for request in of(models, name)} == {
        0.7
    }
    assert "temperature" not in of(models, "editor")[0].body
    assert [request.body["seed"] for request in of(models, "ann")] == [8, 8, 10, 10], "a sample, a seed"
    assert not any("seed" in request.body for request in of(models, "bob"))
    word = team_word(of(models, "editor")[0])
    assert word["answers"] == {"ann": opinion("ann 2"), "bob": opinion("bob 2")}
    assert word["contradictions"] == [{"at": "output.verdict", "said": {"ann": "ann 2", "bob": "bob 2"}}]


async def test_samples_are_summed_up_in_windows(field: Field, effects: Desk) -> None:
    tasks, models = field
    for _ in range(3):
        says(models, "ann", "sample")
    says(models, "editor", "first", "e 1")
    says(models, "editor", "last", "e 2")
    assert (await ended(tasks, "samples")).output == "last"
    assert effects.what("done", "undone") == ["e 1", "e 1", "e 2"]
    first, _, last, _ = (team_word(request) for request in of(models, "editor"))
    assert list(first["answers"]) == ["ann.1", "ann.2"]
    assert (list(last["answers"]), last["so_far"]) == (["ann.3"], opinion("first"))
    assert models.count() == 3 + 2 * 2


async def test_a_second_opinion_that_differs_is_reconciled_and_the_other_is_undone(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    says(models, "ann", "yes", "a", 0.6)
    says(models, "bob", "no", "b", 0.5)
    says(models, "chair", "no")
    assert (await ended(tasks, "second")).output == "no"
    assert list(effects.effects()) == ["b"]
    assert team_word(of(models, "chair")[0])["answers"] == [opinion("yes", 0.6), opinion("no", 0.5)]


async def test_a_sure_answer_needs_no_second_and_an_unsure_one_that_nobody_confirms_is_undone(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    says(models, "ann", "yes", "a", 0.9)
    assert (await ended(tasks, "second")).output == "yes"
    assert models.count() == 2
    says(models, "ann", "yes", "b", 0.2)
    models.for_model("bob").reply(*[Behaviour.json({"x": 1})] * 4)
    end = await ended(tasks, "second")
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "TeamFailed")
    assert "ann is sure by 0.2, less than 0.7, and bob has failed" in end.failure["message"]
    assert list(effects.effects()) == ["a"]
