"""Teams that work in turns, on a real server: what is given up is undone first, and nonsense is corrected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer, ReceivedRequest
from counterstep.tests.support.bundles.agents import board_of, team_at_work, team_word, told
from counterstep.tests.support.bundles.circle import circle
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked

Field = tuple[Tasks, ModelServer]
OUTPUT = "${{ steps.w.output }}"

PRICE = {"id": "price", "problem": "there is no price"}
ACCEPTED = Behaviour.json({"accepted": True, "issues": []})
REFUSED = Behaviour.json({"accepted": False, "issues": [PRICE]})


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, crew, circle]) as shop:
        yield shop


def step(team: str, what: str = "tea") -> dict[str, Any]:
    return {"id": "w", "agent": f"circle.{team}", "input": {"what": what}}


def opinion(verdict: str) -> dict[str, Any]:
    return {"verdict": verdict, "confidence": 1.0}


def puts(what: str) -> Behaviour:
    return Behaviour.calls(call("put", what=what))


def of(models: ModelServer, name: str) -> list[ReceivedRequest]:
    return [request for request in models.requests if request.model == name]


async def test_a_rejected_draft_is_undone_before_the_next_which_answers_each_issue(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    second = {"output": opinion("second"), "answers": {"price": "added"}}
    models.for_model("ann").reply(
        puts("a"),
        Behaviour.json(opinion("first")),
        puts("b"),
        Behaviour.json({**second, "answers": {}}),  # corrected in its turn
        Behaviour.json(second),
    )
    models.for_model("bob").reply(REFUSED, ACCEPTED)
    end = await end_of(await tasks.start([step("pair")], output=OUTPUT))
    assert (end.type, end.output) == ("completed", opinion("second"))
    assert list(effects.effects()) == ["b"]
    assert effects.what("done", "undone") == ["a", "a", "b"]
    assert "price" in told(of(models, "ann")[-1], "user")[-1]
    assert team_word(of(models, "ann")[2])["issues"] == [PRICE]
    shown = team_word(of(models, "bob")[1])
    assert (shown["draft"], shown["issues"]) == (opinion("second"), [{**PRICE, "answer": "added"}])


async def test_no_draft_is_accepted_and_a_person_gets_the_open_issues(field: Field, effects: Desk) -> None:
    tasks, models = field
    for name in "abc":
        draft = opinion(name)
        later = {"output": draft, "answers": {"price": "no"}}
        models.for_model("ann").reply(puts(name), Behaviour.json(draft if name == "a" else later))
        models.for_model("bob").reply(REFUSED)
    handle = await tasks.start([step("pair")], output=OUTPUT)
    await until_asked(handle, "w", "circle.pair: draft 3 was the last, and is not accepted")
    (asked,) = (await board_of(handle))["waiting_for"]
    assert (asked["show"]["draft"], asked["show"]["issues"]) == (opinion("c"), [PRICE])
    assert effects.what("undone") == ["a", "b", "c"]
    await tell(handle, "decide", step="w", action="supply", value=opinion("mine"))
    assert (await end_of(handle)).output == opinion("mine")


async def test_python_code_drafts_and_answers_issues(field: Field) -> None:
    tasks, models = field
    models.for_model("bob").reply(REFUSED, ACCEPTED)
    end = await end_of(await tasks.start([step("scribed")], output=OUTPUT))
    assert (end.type, end.output["verdict"]) == ("completed", "tea")
    assert team_word(of(models, "bob")[1])["issues"] == [{**PRICE, "answer": "done"}]


async def test_who_chooses_nonsense_is_corrected_and_a_summary_ends_the_chat(
    field: Field, effects: Desk
) -> None:
    tasks, models = field

    def chosen(name: str | None) -> Behaviour:
        return Behaviour.json({"next": name, "reason": "so"})

    models.for_model("chair").reply(chosen("dan"), chosen("ann"), chosen("ann"), chosen("bob"), chosen(None))
    models.for_model("ann").reply(puts("a"), Behaviour.json(opinion("a")))
    models.for_model("bob").reply(puts("b"), Behaviour.json(opinion("b")))
    models.for_model("editor").reply(Behaviour.json(opinion("both")))
    end = await end_of(await tasks.start([step("chat")], output=OUTPUT))
    assert (end.type, end.output) == ("completed", opinion("both"))
    assert sorted(effects.effects()) == ["a", "b"]
    first, _, second, *_ = of(models, "chair")
    assert team_word(first)["members"]["cid"] == "cid has an opinion."
    assert team_word(second)["said"] == [{"member": "ann", "output": opinion("a")}]


async def test_a_chat_in_which_two_fail_undoes_everything(field: Field, effects: Desk) -> None:
    tasks, models = field
    names = ["ann", "bob", "cid"]
    models.for_model("chair").reply(*[Behaviour.json({"next": name, "reason": "so"}) for name in names])
    models.for_model("ann").reply(puts("a"), Behaviour.json(opinion("a")))
    for name in ("bob", "cid"):
        models.for_model(name).reply(puts(name), *[Behaviour.json({"x": 1})] * 4)
    end = await end_of(await tasks.start([step("chat")]))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "TeamFailed")
    assert sorted(effects.what("undone")) == ["a", "bob", "cid"]
    assert not effects.effects()


async def test_a_rule_a_better_classifier_and_a_person_say_whom_it_is_for(field: Field) -> None:
    tasks, models = field

    def word(to: str, confidence: float) -> Behaviour:
        return Behaviour.json({"to": to, "confidence": confidence, "reason": "so"})

    models.for_model("ann").reply(Behaviour.json(opinion("ann")))
    models.for_model("cid").reply(word("ann", 0.8), word("ann", 0.2))
    models.for_model("chair").reply(word("bob", 0.7), word("bob", 0.3))
    models.for_model("bob").reply(*[Behaviour.json(opinion("bob"))] * 2)
    assert (await end_of(await tasks.start([step("front")], output=OUTPUT))).output == opinion("ann")
    end = await end_of(await tasks.start([step("front", "bike")], output=OUTPUT))
    assert end.output == opinion("bob")
    assert "What your team tells you" not in str(of(models, "bob")[0].body)
    handle = await tasks.start([step("front", "bike")], output=OUTPUT)
    await until_asked(handle, "w/porter.3", "Whose is it?")
    await tell(handle, "decide", step="w/porter.3", action="answer", value={"to": "bob"})
    assert (await end_of(handle)).output == opinion("bob")


async def test_a_team_that_does_not_get_on_undoes_all_since_its_plan_and_plans_anew(
    field: Field, effects: Desk
) -> None:
    tasks, models = field

    def plan(name: str) -> Behaviour:
        return Behaviour.json({"facts": f"facts {name}", "plan": f"plan {name}"})

    def progress(who: str | None, *, moves: bool = True) -> Behaviour:
        word = {"done": who is None, "progress": moves, "in_loop": False, "next": who}
        return Behaviour.json({**word, "instruction": f"go on, {who}", "reason": "so"})

    models.for_model("chair").reply(
        plan("1"), progress("ann"), progress("ann", moves=False), progress("ann", moves=False),
        plan("2"), progress("bob"), progress(None), Behaviour.json(opinion("done")),
    )  # fmt: skip
    models.for_model("ann").reply(
        puts("a"), Behaviour.json(opinion("a")), puts("b"), Behaviour.json(opinion("b"))
    )
    models.for_model("bob").reply(puts("c"), Behaviour.json(opinion("c")))
    end = await end_of(await tasks.start([step("crowd")], output=OUTPUT))
    assert (end.type, end.output) == ("completed", opinion("done"))
    assert list(effects.effects()) == ["c"]
    assert effects.what("done", "undone") == ["a", "b", "b", "a", "c"]
    replanned = team_word(of(models, "chair")[4])
    assert replanned["facts"] == "facts 1"
    assert [said["output"]["verdict"] for said in replanned["said"]] == ["a", "b"]
    assert team_word(of(models, "bob")[0])["instruction"] == "go on, bob"
    assert models.count() == 8 + 4 + 2
