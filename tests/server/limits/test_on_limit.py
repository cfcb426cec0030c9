"""What follows when an agent has reached a limit: it fails, sums up, or asks a person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep import Agent, Budget, Bundle
from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import (
    Happened,
    Job,
    Report,
    board_of,
    step,
    team,
    team_at_work,
)
from counterstep.tests.support.bundles.desk import Desk, desk, put
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_asked

Team = tuple[Tasks, ModelServer]

purse = Bundle("purse")
purse.add(
    Agent(
        name="poor",
        description="May ask its model twice.",
        instructions="Be brief.",
        model="openai/poor",
        tools=[put],
        input=Job,
        output=Report,
        budget=Budget(model_calls=2),
    )
)
purse.add(
    Agent(
        name="chief",
        description="Lets the poor one do it.",
        instructions="Lead.",
        model="openai/chief",
        tools=["poor"],
        output=Report,
    )
)

DONE = Behaviour.json({"placed": ["x"]})
PUTS = [Behaviour.calls(call("put", what=what)) for what in ("x", "y", "z", "u", "v", "w")]
FIRST = {"id": "first", "tool": "desk.put", "input": {"what": "first"}}


@pytest.fixture
async def here(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, team, purse]) as found:
        yield found


# --- finish


@pytest.mark.parametrize(
    ("agent", "budget", "turns", "why"),
    [
        ("hasty", {}, 2, "team.hasty has not answered within 2 turns"),
        ("tireless", {"model_calls": 4}, 3, "the budget of 4 model calls is used up"),
        ("tireless", {"tool_calls": 2}, 3, "the budget of 2 tool calls is used up"),
    ],
)
async def test_one_last_call_sums_up_within_the_budget_and_the_result_is_degraded(
    here: Team, effects: Desk, agent: str, budget: dict[str, int], turns: int, why: str
) -> None:
    tasks, models = here
    models.for_model(agent).reply(*PUTS[:turns], DONE)
    handle = await tasks.start([step(agent, on_limit="finish")], budget=budget)
    end = await end_of(handle)
    assert (end.type, end.details["degraded"]) == ("completed", {agent: why})
    assert models.count() == turns + 1
    last = models.requests[-1].body
    assert "tools" not in last
    assert f"A limit is reached: {why}" in last["messages"][-1]["content"]
    assert sorted(effects.effects()) == ["x", "y", "z"][: budget.get("tool_calls", turns)]
    assert end.details["usage"]["model_calls"] == turns + 1


async def test_what_was_done_beside_the_call_that_is_too_much_is_told(here: Team, effects: Desk) -> None:
    tasks, models = here
    both = Behaviour.calls(call("put", what="x"), call("put", what="y"))
    models.for_model("clerk").reply(both, DONE)
    end = await tasks.run([step("clerk", on_limit="finish")], budget={"tool_calls": 1})
    assert end.type == "completed"
    told = [
        message["content"] for message in models.requests[-1].body["messages"] if message["role"] == "tool"
    ]
    assert len(told) == 2
    assert sum("the budget of 1 tool call is used up" in text for text in told) == 1
    assert len(effects.what("done")) == 1


async def test_a_summary_that_does_not_fit_is_none(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("hasty").reply(*PUTS[:2], Behaviour.text("no idea"))
    end = await tasks.run([step("hasty", on_limit="finish")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "MaxTurnsExceeded")
    assert (models.count(), effects.effects()) == (3, {})


# --- escalate


async def test_a_person_raises_a_limit_or_ends_it(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("hasty").reply(*PUTS[:2], DONE, *PUTS[2:4])
    handle = await tasks.start([step("hasty", on_limit="escalate")])
    await until_asked(handle, "hasty/limit")
    assert "has not answered within 2 turns" in (await board_of(handle))["waiting_for"][0]["ask"]
    await tell(handle, "decide", step="hasty/limit", action="raise", by="ada")
    end = await end_of(handle)
    assert (end.type, models.count(), end.details.get("degraded")) == ("completed", 3, None)
    handle = await tasks.start([step("hasty", on_limit="escalate")])
    await until_asked(handle, "hasty/limit")
    await tell(handle, "decide", step="hasty/limit", action="end", by="ada")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "MaxTurnsExceeded")
    assert sorted(effects.effects()) == ["x", "y"], "what the first task has put there stands"


async def test_a_person_adds_to_a_budget(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("clerk").reply(*PUTS[:3], DONE)
    handle = await tasks.start([step("clerk", on_limit="escalate")], budget={"model_calls": 2})
    await until_asked(handle, "clerk/limit")
    await tell(handle, "decide", step="clerk/limit", action="raise", by="ada", value={"model_calls": 2})
    end = await end_of(handle)
    assert (end.type, models.count()) == ("completed", 4)
    assert (await board_of(handle))["budget"]["model_calls"] == 4


async def test_a_turn_that_a_budget_has_refused_was_not_taken(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("hasty").reply(PUTS[0], DONE)
    handle = await tasks.start([step("hasty", on_limit="escalate")], budget={"model_calls": 1})
    await until_asked(handle, "hasty/limit", "the budget of 1 model call is used up")
    await tell(handle, "decide", step="hasty/limit", action="raise")
    end = await end_of(handle)
    assert (end.type, models.count()) == ("completed", 2)
    ids = [call for call in Happened([*(await handle.fetch_history()).events]).ids if "/model." in call]
    assert ids == ["hasty/model.1#1", "hasty/model.2#1"]


async def test_a_raise_that_adds_nothing_to_the_budget_is_refused(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("clerk").reply(DONE)
    handle = await tasks.start([step("clerk", on_limit="escalate")], budget={"model_calls": 0})
    await until_asked(handle, "clerk/limit")
    at: dict[str, Any] = {"step": "clerk/limit", "action": "raise"}
    for value in ({}, {"tokens": 500, "usd": 1}, {"model_calls": 0}):
        why = await refusal_of(handle, "decide", **at, value=value)
        assert "that adds nothing to the budget, which limits model_calls; say how much to add" in why
    why = await refusal_of(handle, "decide", **at)
    assert "as much again adds nothing to the budget, which limits model_calls" in why
    await tell(handle, "decide", **at, value={"model_calls": 1})
    assert (await end_of(handle)).type == "completed"


# --- budgets of steps and of agents


async def test_a_budget_of_a_step_is_for_all_its_items(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("writer").default = Behaviour.text("words")
    three = {**step("writer"), "for_each": "[1, 2, 3]", "max_parallel": 1, "budget": {"model_calls": 2}}
    end = await tasks.run([FIRST, {**three, "needs": ["first"]}], budget={"model_calls": 9})
    assert end.failure == {
        "step": "writer",
        "type": "BudgetExceeded",
        "message": "step 'writer': the budget of 2 model calls is used up",
    }
    assert (models.count(), effects.effects()) == (2, {})


async def test_a_budget_of_an_agent_is_for_one_job_and_another_one_may_go_on(
    here: Team, effects: Desk
) -> None:
    tasks, models = here
    models.for_model("poor").reply(*PUTS[:2])
    models.for_model("helper").default = DONE
    keys: dict[str, Any] = {"agent": "purse.poor", "on_failure": {"fallback": "team.helper"}}
    end = await tasks.run([{"id": "do", "input": {"what": "x"}, **keys}])
    assert (end.type, models.count(), effects.effects()) == ("completed", 3, {})
    assert "agent 'purse.poor': the budget of 2 model calls is used up" in end.details["degraded"]["do"]


async def test_a_delegate_whose_budget_is_used_up_is_told_of_and_undone(here: Team, effects: Desk) -> None:
    tasks, models = here
    models.for_model("chief").reply(Behaviour.calls(call("poor", what="x")), DONE)
    models.for_model("poor").reply(*PUTS[:2])
    end = await tasks.run([{"id": "lead", "agent": "purse.chief", "input": {}}], budget={"model_calls": 9})
    assert (end.type, models.count(), effects.effects()) == ("completed", 4, {})
    assert "the budget of 2 model calls is used up" in str(models.requests[-1].body)
