"""What a task spends on models: it is shown, and its budget is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents.model_calls.model_room import Appraisal
from counterstep.saga.record.search_attributes import SAGA_COST
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import board_of, step, team_at_work, until
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.histories.replay import replayer_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import act
from counterstep.tests.support.workflows.sagas import ErrandsInTurn

Team = tuple[Tasks, ModelServer]

DONE = Behaviour.json({"placed": []})
JUDGED = Behaviour.json({"score": 1, "reasons": ["fine"]})
PUT_FIRST = {"id": "first", "tool": "desk.put", "input": {"what": "first"}}


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch) as team:
        yield team


# --- what is shown


async def test_usage_is_on_the_board_in_the_result_and_with_each_step(team: Team, effects: Desk) -> None:
    tasks, models = team
    judge = {"judge": {"model": "openai/gpt-4o-mini", "criteria": "All is well."}}
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="x")).with_(usage=(7, 3)), DONE.with_(usage=(11, 4))
    )
    models.for_model("gpt-4o-mini").reply(
        Behaviour.text("words").with_(usage=(1_000_000, 20)), JUDGED.with_(usage=(2_000_000, 10))
    )
    handle = await tasks.start([step("priced"), step("clerk", needs=["priced"], validate=[judge]), PUT_FIRST])
    end = await end_of(handle)
    assert end.type == "completed"
    expected = {
        "model_calls": 4,
        "input_tokens": 3_000_018,
        "output_tokens": 37,
        "tokens": 3_000_055,
        "usd": pytest.approx(0.450018),
        "unpriced_calls": 2,
        "unpriced_models": ["openai/clerk"],
        "tool_calls": 2,
        "handoffs": 0,
    }
    board = await board_of(handle)
    assert end.details["usage"] == expected
    assert board["usage"] == expected
    assert board["steps"]["priced"]["usage"] == {
        "model_calls": 1,
        "tokens": 1_000_020,
        "usd": pytest.approx(0.150012),
    }
    clerk = board["steps"]["clerk"]["usage"]
    assert (clerk["model_calls"], clerk["tokens"]) == (3, 2_000_035), "its judge included"
    assert clerk["usd"] == pytest.approx(0.300006)
    assert board["steps"]["first"]["usage"]["model_calls"] == 0


async def test_all_sagas_of_a_workflow_count_in_what_is_shown(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    errand = [act("team.priced", "x")]
    async with team_at_work(server.address, task_queue, monkeypatch, workflows=[ErrandsInTurn]) as (
        tasks,
        models,
    ):
        models.for_model("gpt-4o-mini").default = Behaviour.text("words").with_(usage=(1_000_000, 5))
        handle = await tasks.start_workflow("ErrandsInTurn", [errand, errand])
        await handle.result()
        usage = (await board_of(handle))["usage"]
        assert (usage["model_calls"], usage["usd"]) == (2, pytest.approx(0.300006))
        assert (await handle.describe()).typed_search_attributes.get(SAGA_COST) == 0.300006
        await replayer_of(ErrandsInTurn).replay_workflow(await handle.fetch_history())
        end = await end_of(await tasks.start_workflow("ErrandsInTurn", [errand, [*errand, {"fail": "now"}]]))
        assert (end.type, end.details["usage"]["model_calls"]) == ("SagaRolledBack", 2)


async def test_an_unpriced_model_is_said(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("words")
    handle = await tasks.start([step("writer")])
    end = await end_of(handle)
    assert (end.details["usage"]["usd"], end.details["usage"]["unpriced_calls"]) == (0, 1)
    assert end.details["usage"]["unpriced_models"] == ["openai/writer"]
    said = [line["what"] for line in (await board_of(handle))["log"] if "no price" in line["what"]]
    assert said == ["no price is known for openai/writer; its calls are not in the sum"]


async def test_what_an_undone_task_has_spent_is_in_its_failure(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("gpt-4o-mini").default = Behaviour.text("words").with_(usage=(1_000_000, 1))
    breaks = {
        "id": "breaks",
        "needs": ["priced"],
        "tool": "desk.put",
        "input": {"what": "x", "fail": "not_applied"},
    }
    end = await tasks.run([step("priced"), breaks])
    assert end.details["usage"]["tokens"] == 1_000_001
    assert end.details["usage"]["usd"] == pytest.approx(0.1500006)


# --- what is kept


@pytest.mark.parametrize("on_failure", ["rollback", "skip", {"fallback": "team.helper"}])
async def test_a_budget_on_model_calls_ends_the_task_and_nothing_eats_it(
    team: Team, effects: Desk, on_failure: Any
) -> None:
    tasks, models = team
    models.for_model("clerk").reply(*(Behaviour.calls(call("put", what=what)) for what in ("x", "y")))
    models.for_model("helper").default = DONE
    handle = await tasks.start(
        [PUT_FIRST, step("clerk", needs=["first"], on_failure=on_failure)], budget={"model_calls": 2}
    )
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure == {
        "step": "clerk",
        "type": "BudgetExceeded",
        "message": "the budget of 2 model calls is used up",
    }
    assert models.count() == 2
    assert len(effects.what("done")) == 3
    assert effects.effects() == {}
    assert end.details["undone"] == ["clerk", "first"]
    assert (await board_of(handle))["budget"]["model_calls"] == 2


@pytest.mark.parametrize("delay", [0, 0.2])
async def test_agents_side_by_side_never_make_more_calls_than_the_budget(
    team: Team, effects: Desk, delay: float
) -> None:
    tasks, models = team

    def answer(body: dict[str, Any]) -> Behaviour:
        place = json.loads(body["messages"][1]["content"])["what"]
        turns = sum(message["role"] == "tool" for message in body["messages"])
        return DONE if turns == 2 else Behaviour.calls(call("put", what=place)).with_(delay=delay)

    models.for_model("clerk").default = answer
    clerk = {**step("clerk", what="${{ item }}"), "for_each": "['a', 'b', 'c', 'd']"}
    end = await tasks.run([clerk], budget={"model_calls": 7})
    assert end.failure["type"] == "BudgetExceeded"
    assert models.count() <= 7
    assert end.details["usage"]["model_calls"] <= 7
    assert effects.effects() == {}
    end = await tasks.run([clerk], budget={"model_calls": 12})
    assert end.type == "completed", "what is enough is enough"
    assert end.details["usage"]["model_calls"] == 12


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"tokens": 750_000}, "the budget of 750000 tokens is used up (800002 spent)"),
        ({"usd": 0.11}, "the budget of $0.11 is used up ($0.1200 spent)"),
        ({"model_calls": 0}, "the budget of 0 model calls is used up"),
    ],
)
async def test_tokens_and_usd_are_checked_before_each_call(
    team: Team, effects: Desk, budget: dict[str, Any], says: str
) -> None:
    tasks, models = team
    models.for_model("gpt-4o-mini").default = Behaviour.text("words").with_(usage=(400_000, 1))
    steps = [{**step("priced"), "id": f"s{n}", "needs": [f"s{n - 1}"] if n else []} for n in range(4)]
    end = await tasks.run(steps, budget=budget)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "BudgetExceeded"
    assert end.failure["message"] == says
    assert models.count() == (2 if "model_calls" not in budget else 0)
    assert end.details["undone"] == ["s1", "s0"][2 - models.count() :], "what has not begun is not undone"


@pytest.mark.parametrize(
    ("limit", "enough"), [({"tokens": 9000}, {"tokens": 60_000}), ({"usd": 0.004}, {"usd": 1})]
)
async def test_answers_as_long_as_they_may_be_never_pass_a_budget_side_by_side(
    team: Team, effects: Desk, limit: dict[str, Any], enough: dict[str, Any]
) -> None:
    tasks, models = team
    spent: list[tuple[int, int]] = []

    def answer(body: dict[str, Any]) -> Behaviour:
        """Uses all that it is allowed, and counts a token for every byte."""
        longest = body.get("max_tokens") or body.get("max_completion_tokens") or 16_384
        spent.append((len(json.dumps(body["messages"], ensure_ascii=False).encode()), longest))
        return Behaviour.text("words").with_(usage=spent[-1], delay=0.05)

    models.for_model("gpt-4o-mini").default = answer
    six = {**step("priced", what="${{ item }}"), "for_each": "['a', 'b', 'c', 'd', 'e', 'f']"}
    end = await tasks.run([six], budget=limit)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert 1 <= models.count() < 6
    tokens, usd = sum(map(sum, spent)), sum(0.15e-6 * sent + 0.6e-6 * said for sent, said in spent)
    assert tokens <= limit.get("tokens", tokens)
    assert usd <= limit.get("usd", usd) + 1e-9
    assert end.details["usage"]["tokens"] == tokens
    end = await tasks.run([six], budget=enough)
    assert end.type == "completed"


@pytest.mark.parametrize(("keys", "measured"), [({}, 0), ({"budget": {"tokens": 50_000}}, 1)])
async def test_a_conversation_is_measured_only_where_a_budget_needs_it(
    team: Team, effects: Desk, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], measured: int
) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("words")
    seen: list[Any] = []
    measure = Appraisal.of

    def of(*args: Any) -> Appraisal:
        seen.append(args)
        return measure(*args)

    monkeypatch.setattr(Appraisal, "of", of)
    assert (await tasks.run([step("writer", **keys)])).type == "completed"
    assert len(seen) == measured


async def test_a_dollar_budget_of_a_step_is_never_passed(team: Team, effects: Desk) -> None:
    """Prices come with the snapshot, also where only a part of the task has a budget."""
    tasks, models = team
    models.for_model("gpt-4o-mini").default = Behaviour.text("words").with_(usage=(1000, 10))
    end = await tasks.run([{**step("priced"), "budget": {"usd": 0.00005}}])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert end.failure["message"].startswith("step 'priced': the budget of $5e-05 has $0.0001 left, and")
    assert models.count() == 0


async def test_tool_calls_of_steps_and_agents_have_a_budget(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("clerk").reply(
        Behaviour.calls(call("put", what="x"), call("put", what="y")), Behaviour.calls(call("put", what="z"))
    )
    handle = await tasks.start([PUT_FIRST, step("clerk", needs=["first"])], budget={"tool_calls": 3})
    end = await end_of(handle)
    assert end.failure == {
        "step": "clerk",
        "type": "BudgetExceeded",
        "message": "the budget of 3 tool calls is used up",
    }
    assert (end.details["usage"]["tool_calls"], set(effects.what("done"))) == (3, {"first", "x", "y"})
    assert effects.effects() == {}


async def test_a_tool_call_that_is_not_made_does_not_count(team: Team, effects: Desk) -> None:
    tasks, _ = team
    twice = {"what": "${{ task.what + task.what }}"}
    large = {"id": "large", "needs": ["first"], "tool": "desk.put", "input": twice}
    end = await tasks.run([PUT_FIRST, large], input={"what": "w" * 600_000})
    assert end.failure["type"] == "PayloadTooLarge"
    assert effects.what("done") == ["first"]
    assert end.details["usage"]["tool_calls"] == 1


async def test_what_a_priced_model_has_cost_stays_when_an_unpriced_one_answers(
    team: Team, effects: Desk
) -> None:
    tasks, models = team
    empty = {"id": "x", "object": "chat.completion", "created": 0, "model": "gpt-4o-mini", "choices": []}
    paid = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
    models.for_model("gpt-4o-mini").default = Behaviour(body=json.dumps({**empty, "usage": paid}))
    models.for_model("second").default = Behaviour.text("words")
    handle = await tasks.start([step("half_priced")])
    end = await end_of(handle)
    usage = end.details["usage"]
    assert (end.type, models.count(), usage["model_calls"]) == ("completed", 2, 2)
    assert (usage["usd"], usage["unpriced_models"]) == (pytest.approx(0.15), ["openai/second"])
    assert (await board_of(handle))["steps"]["half_priced"]["usage"]["usd"] == pytest.approx(0.15)


async def test_a_judge_counts_and_its_missing_budget_is_no_verdict(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("words")
    models.for_model("judge").default = JUDGED
    judged = step(
        "writer",
        validate=[{"judge": {"model": "openai/judge", "criteria": "Well written."}}],
        on_reject="skip",
        on_failure="skip",
    )
    end = await tasks.run([judged], budget={"model_calls": 1})
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "BudgetExceeded"
    assert models.count() == 1
    end = await tasks.run([judged], budget={"model_calls": 2})
    assert end.type == "completed"
    assert end.details["usage"]["model_calls"] == 2


async def test_a_group_does_not_eat_it_either(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.text("words")
    group = {"id": "group", "group": {"steps": [step("writer")]}, "on_failure": "skip", "needs": ["first"]}
    end = await tasks.run([PUT_FIRST, group], budget={"model_calls": 0})
    assert end.failure["type"] == "BudgetExceeded"
    assert models.count() == 0
    assert effects.effects() == {}


async def test_a_request_that_failed_is_counted(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("writer").default = Behaviour.error(400, "no such model")
    models.for_model("gpt-4o-mini").default = Behaviour.text("words")
    steps = [step("writer", on_failure="skip"), step("priced", needs=["writer"])]
    end = await tasks.run(steps, budget={"model_calls": 1})
    assert (end.failure["step"], end.failure["type"]) == ("priced", "BudgetExceeded")
    assert (models.count(), end.details["usage"]["model_calls"]) == (1, 1)
    end = await tasks.run(steps, budget={"model_calls": 2})
    assert end.output == {"writer": None, "priced": "words"}
    assert (end.details["usage"]["model_calls"], end.details["usage"]["unpriced_calls"]) == (2, 0)


@pytest.mark.parametrize(("most", "failing", "made"), [(1, 9, 1), (2, 9, 2), (3, 2, 3), (9, 9, 3)])
async def test_retries_stay_within_the_budget_and_are_counted(
    team: Team, effects: Desk, most: int, failing: int, made: int
) -> None:
    tasks, models = team
    models.for_model("writer").reply(*[Behaviour.error(503)] * failing).default = Behaviour.text("words")
    end = await tasks.run([step("writer")], budget={"model_calls": most})
    assert end.type == ("completed" if failing < made else "SagaRolledBack")
    assert (models.count(), end.details["usage"]["model_calls"]) == (made, made)


async def test_a_chain_of_models_stays_within_the_budget(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("first").default = Behaviour.error(400, "no such model")
    models.for_model("second").default = Behaviour.text("words")
    end = await tasks.run([step("chain")], budget={"model_calls": 1})
    assert end.failure["type"] == "ModelRefused"
    assert models.count() == 1
    chains = {**step("chain"), "for_each": "[1, 2]"}
    assert (await tasks.run([chains], budget={"model_calls": 4})).type == "completed"
    end = await tasks.run([chains], budget={"model_calls": 3})
    assert end.type == "SagaRolledBack"
    assert models.count() <= 1 + 4 + 3


async def test_room_that_a_chain_does_not_need_is_left_to_others(team: Team, effects: Desk) -> None:
    tasks, models = team
    models.for_model("first").default = Behaviour.text("words").with_(delay=0.2)
    end = await tasks.run([{**step("chain"), "for_each": "[1, 2, 3]"}], budget={"model_calls": 3})
    assert end.type == "completed", "the chains of two models need three calls, not six"
    assert end.details["usage"]["model_calls"] == 3
    models.for_model("first").default = Behaviour.hang(60)
    handle = await tasks.start([{**step("chain"), "for_each": "[1, 2]"}], budget={"model_calls": 2})
    await until(models, 4)
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled", "also who waits for room can be stopped"
    assert models.count() == 4
