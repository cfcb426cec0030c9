"""Handoffs on a real server: who has the conversation, what is seen of it, and that all of it is undone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, ScriptedCall, call
from counterstep.testing.model_server import ModelServer, ReceivedRequest
from counterstep.tests.support.bundles.agents import KEY, Happened, board_of, team_at_work, told
from counterstep.tests.support.bundles.claims import claims
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked
from counterstep.tests.support.tasks.work import put
from counterstep.tests.support.tasks.workers import errand_worker

Field = tuple[Tasks, ModelServer]

SUSPECTS = call("transfer_to_fraud", claim="c1", score=9)
PAID = Behaviour.json({"decision": "paid", "by": "x"})


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Field]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, claims]) as shop:
        yield shop


def step(agent: str, **keys: Any) -> dict[str, Any]:
    return {"id": "w", "agent": f"claims.{agent}", "input": {"claim": "c1"}, **keys}


def says(models: ModelServer, name: str, *turns: Behaviour | ScriptedCall) -> None:
    """What the model of one agent does, turn by turn."""
    behaviours = (turn if isinstance(turn, Behaviour) else Behaviour.calls(turn) for turn in turns)
    models.for_model(name).reply(*behaviours)


def tools_of(request: ReceivedRequest) -> dict[str, Any]:
    return {tool["function"]["name"]: tool["function"]["parameters"] for tool in request.body["tools"]}


def first_of(models: ModelServer, name: str) -> ReceivedRequest:
    return next(request for request in models.requests if request.model == name)


async def test_another_agent_takes_the_conversation_over_and_answers_for_the_first(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    says(models, "desk", Behaviour.calls(call("put", what="a"), SUSPECTS), PAID)
    says(models, "fraud", call("put", what="b"), Behaviour.json({"decision": "denied"}))
    handle = await tasks.start([step("desk")], output="${{ steps.w.output.decision }}")
    assert (await handle.result())["output"] == "denied"
    assert list(effects.effects()) == ["a", "case c1", "b"]
    happened = await Happened.in_(handle)
    assert [id_ for id_ in happened.ids if "/" in id_] == [
        "w/desk.1/model.1#1",
        "w/desk.1/tool.1#1",
        "w/fraud.2/on_handoff#1",
        "w/fraud.2/model.1#1",
        "w/fraud.2/tool.1#1",
        "w/fraud.2/model.2#1",
    ]
    parameters = tools_of(first_of(models, "desk"))["transfer_to_fraud"]
    assert parameters["required"] == ["claim"]
    request = first_of(models, "fraud")
    assert told(request, "system")[0].startswith("You are fraud.")
    assert len(told(request, "tool")) == 1
    assert told(request, "user")[-1].startswith("desk has handed this conversation over to you: ")
    assert json.loads(told(request, "user")[-1].split(": ", 1)[1]) == {"claim": "c1", "score": 9}
    assert "decision" in json.dumps(tools_of(request)["final_answer"]), "it has to answer as the first one"
    moves = (await board_of(handle))["moves"]
    assert [move["operation"] for move in moves] == ["spawn", "spawn", "stop"]
    assert moves[1]["said"] == {"from": "desk", "arguments": {"claim": "c1", "score": 9}}
    assert [move["usage"]["model_calls"] for move in moves[:2]] == [1, 2]


async def test_all_is_undone_in_its_order_when_a_later_step_fails(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "desk", call("put", what="a"), SUSPECTS)
    says(models, "fraud", call("put", what="b"), PAID)
    end = await tasks.run([step("desk"), put("z", "w", fail="final")])
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "z")
    assert effects.what("undone")[1:] == ["b", "case c1", "a"]
    assert effects.effects() == {}


async def test_one_who_fails_fails_the_step_and_what_everybody_did_is_undone(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    gives_up = call("abandon_and_undo_everything", reason="no idea")
    says(models, "desk", call("put", what="a"), SUSPECTS)
    says(models, "fraud", call("put", what="b"), gives_up, gives_up)
    end = await tasks.run([step("desk")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "GaveUp")
    assert effects.what("undone") == ["b", "case c1", "a"]


async def test_a_handoff_whose_call_fails_fails_the_step_and_nobody_takes_over(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    says(models, "desk", call("put", what="a"), call("transfer_to_fraud", claim="c1", score=100))
    end = await tasks.run([step("desk")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Final")
    assert (effects.what("undone"), models.count("fraud")) == (["case c1", "a"], 0)


async def test_the_first_handoff_of_a_turn_counts_and_the_others_are_told_so(
    field: Field, effects: Desk
) -> None:
    tasks, models = field
    says(models, "desk", Behaviour.calls(call("transfer_to_medic"), SUSPECTS, call("put", what="a")), PAID)
    says(models, "medic", call("transfer_to_triage"))
    says(models, "triage", PAID)
    handle = await tasks.start([step("desk")])
    await handle.result()
    assert list(effects.effects()) == ["a"]
    assert models.count("fraud") == 0
    assert [move["member"] for move in (await board_of(handle))["moves"][:3]] == ["desk", "medic", "triage"]
    request = first_of(models, "medic")
    assert [c["function"]["name"] for m in request.body["messages"] for c in m.get("tool_calls") or ()] == [
        "put"
    ]


async def test_wrong_metadata_is_told_and_corrected(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "desk", call("transfer_to_fraud", score="much"), SUSPECTS)
    says(models, "fraud", PAID)
    assert (await tasks.run([step("desk")])).type == "completed"
    second = [request for request in models.requests if request.model == "desk"][1]
    assert "claim" in told(second, "tool")[-1] and "score" in told(second, "tool")[-1]
    assert list(effects.effects()) == ["case c1"]


@pytest.mark.parametrize(
    ("agent", "arguments", "messages"),
    [("quiet", {}, 0), ("brief", {}, 2), ("summing", {"summary": "There is an a."}, 0)],
)
async def test_the_filter_says_what_the_next_one_sees_and_nothing_is_done_twice(
    field: Field, effects: Desk, agent: str, arguments: dict[str, str], messages: int
) -> None:
    tasks, models = field
    puts = call("put", what="a")
    says(models, agent, call("look"), puts, call("transfer_to_fraud", **arguments))
    says(models, "fraud", puts, PAID)
    assert (await tasks.run([step(agent)])).type == "completed"
    first, second = [request for request in models.requests if request.model == "fraud"]
    said = [message for message in first.body["messages"] if message["role"] in ("assistant", "tool")]
    assert len(said) == messages
    assert [m["role"] for m in said] == ["assistant", "tool"][:messages]
    assert told(first, "user")[0] == '{"claim": "c1"}'
    assert ("There is an a." in told(first, "user")[-1]) == (agent == "summing")
    assert effects.what("done") == ["a"]
    repeated = json.loads(told(second, "tool")[-1])
    assert repeated["result"]["what"] == "a"
    assert models.count() == 5


async def test_the_conversation_comes_back_where_that_is_asked_for(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "polite", call("put", what="a"), call("transfer_to_lawyer", reason="hard"), PAID)
    says(models, "lawyer", Behaviour.calls(call("put", what="b"), call("transfer_to_polite", reason="easy")))
    end = await tasks.run([step("polite"), put("z", "w", fail="final")])
    last = models.requests[-1]
    assert (last.model, models.count("polite")) == ("polite", 3)
    assert told(last, "user")[-2:] == [
        'polite has handed this conversation over to you: {"reason": "hard"}',
        'lawyer has handed this conversation over to you: {"reason": "easy"}',
    ]
    assert [json.loads(text)["what"] for text in told(last, "tool")] == ["a", "b"]
    assert (end.type, effects.what("undone")[1:]) == ("SagaRolledBack", ["b", "a"])


async def test_only_who_may_hands_it_back(field: Field) -> None:
    tasks, models = field
    for name in ("fraud", "lawyer"):
        says(models, "lender", call(f"transfer_to_{name}"))
        says(models, name, PAID)
        assert (await tasks.run([step("lender")])).type == "completed"
    assert "transfer_to_lender" in tools_of(first_of(models, "fraud"))
    assert "transfer_to_lender" not in tools_of(first_of(models, "lawyer"))


async def test_who_hands_over_in_a_circle_is_stopped(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "polite", call("put", what="a"), call("transfer_to_fraud"), call("transfer_to_fraud"))
    says(models, "fraud", call("transfer_to_polite"))
    end = await tasks.run([step("polite")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LoopDetected")
    assert "polite hands over to fraud once more" in end.failure["message"]
    assert effects.what("undone") == ["a"]


async def test_the_most_handoffs_fail_the_step(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "triage", call("put", what="a"), call("transfer_to_medic"), call("transfer_to_lawyer"))
    says(models, "medic", call("transfer_to_triage"))
    end = await tasks.run([step("triage")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "CapReached")
    assert "handed over 2 times" in end.failure["message"]
    assert (effects.what("undone"), models.count()) == (["a"], 4)


async def test_at_the_limit_whoever_has_it_answers_with_what_there_is(field: Field) -> None:
    tasks, models = field
    says(models, "finisher", call("transfer_to_pong"))
    says(models, "pong", call("transfer_to_lawyer"), Behaviour.json({"decision": "half"}))
    handle = await tasks.start([step("finisher")], output="${{ steps.w.output.decision }}")
    assert (await handle.result())["output"] == "half"
    request = models.requests[-1]
    assert not any(name.startswith("transfer_to") for name in tools_of(request))
    assert "You have to answer now" in told(request, "user")[-1]
    assert (await board_of(handle))["steps"]["w"]["degraded"]


async def test_at_the_limit_a_person_is_asked(field: Field) -> None:
    tasks, models = field
    says(models, "asker", call("transfer_to_pong"))
    says(models, "pong", call("transfer_to_lawyer"))
    handle = await tasks.start([step("asker")], output="${{ steps.w.output.decision }}")
    await until_asked(handle, "w")
    await tell(handle, "decide", step="w", action="supply", value={"decision": "mine"}, by="eve")
    assert (await handle.result())["output"] == "mine"


async def test_python_code_and_teams_take_the_job_over(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "desk", call("transfer_to_archive", claim="c1"))
    end = await tasks.run([step("desk"), put("z", "w", fail="final")])
    assert (end.type, effects.what("undone")[1:]) == ("SagaRolledBack", ["file c1"])
    says(models, "desk", call("transfer_to_board", claim="c1"))
    says(models, "lawyer", call("put", what="l"), PAID)
    says(models, "doctor", PAID)
    handle = await tasks.start([step("desk")])
    await handle.result()
    assert "w/board.2/lawyer.1/tool.1#1" in (await Happened.in_(handle)).ids


async def test_an_agent_that_hands_over_is_a_tool_of_another(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "boss", call("desk", claim="c1"), PAID)
    says(models, "desk", SUSPECTS)
    says(models, "fraud", call("put", what="b"), Behaviour.json({"decision": "denied"}))
    handle = await tasks.start([step("boss")])
    await handle.result()
    assert "w/desk.1/fraud.2/tool.1#1" in (await Happened.in_(handle)).ids
    assert json.loads(told(models.requests[-1], "tool")[-1])["decision"] == "denied"


async def test_a_budget_ends_a_conversation_in_the_middle(field: Field, effects: Desk) -> None:
    tasks, models = field
    says(models, "desk", call("put", what="a"), SUSPECTS)
    says(models, "fraud", call("put", what="b"), PAID)
    end = await tasks.run([step("desk", retry={"attempts": 1})], budget={"model_calls": 3})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert effects.what("undone") == ["b", "case c1", "a"]


async def test_a_long_conversation_hands_over_in_its_child(field: Field, effects: Desk) -> None:
    tasks, models = field
    turns = [Behaviour.calls(call("put", what=f"t{n}")) for n in range(21)]
    says(models, "tireless", *turns, call("transfer_to_lawyer", reason="long"))
    says(models, "lawyer", call("put", what="t3"), call("put", what="b"), PAID)
    handle = await tasks.start([step("tireless"), put("z", "w", fail="final")])
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.what("done") == [*(f"t{n}" for n in range(21)), "b", "z"]
    assert effects.what("undone")[1:] == ["b", *(f"t{n}" for n in reversed(range(21)))]
    assert len(told(first_of(models, "lawyer"), "tool")) == 21
    assert models.count() == 25


@pytest.mark.slow
async def test_a_kill_after_a_handoff_pays_no_answer_and_makes_no_call_twice(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    with ModelServer.in_thread() as models:
        for name, value in {**models.environment, "OPENAI_API_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        says(models, "polite", call("put", what="a"), call("transfer_to_lawyer", reason="hard"), PAID)
        says(models, "lawyer", call("put", what="b", late=HELD), call("transfer_to_polite", reason="easy"))
        tasks = Tasks(await Client.connect(server.address), task_queue)
        with worker_process(server.address, task_queue) as process:
            handle = await tasks.start([step("polite"), put("z", "w", fail="final")])
            await effects.until("done", "b")
            process.kill()
            process.wait()
        effects.release("b")
        async with errand_worker(server.address, task_queue):
            assert (await end_of(handle)).type == "SagaRolledBack"
    assert [request.model for request in models.requests] == ["polite"] * 2 + ["lawyer"] * 2 + ["polite"]
    assert "lawyer has handed" in told(models.requests[-1], "user")[-1]
    assert len({event.key for event in effects.events("begin") if event.what == "b"}) == 1
    assert (effects.what("undone")[1:], effects.effects()) == (["b", "a"], {})
