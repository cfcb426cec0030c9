"""G21: a call that needs a person's yes never starts without exactly that yes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.saga.agents import agent_loop
from counterstep.saga.limits import history_size
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import team_at_work, told
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_asked
from counterstep.tests.support.tasks.work import put

Till = tuple[Tasks, ModelServer]


@pytest.fixture
async def shop(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Till]:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, till]) as shop:
        yield shop


def tool(name: str = "pay", **keys: Any) -> dict[str, Any]:
    return {"id": "p", "tool": f"till.{name}", "input": {"what": "tea"}, **keys}


def agent(name: str = "cashier", **keys: Any) -> dict[str, Any]:
    return {"id": "c", "agent": f"till.{name}", "input": {"what": "tea"}, **keys}


async def asked_by(handle: WorkflowHandle[Any, Any], step: str = "p", why: str = "") -> dict[str, Any]:
    await until_asked(handle, step, why)
    board = await handle.query("board")
    found: dict[str, Any] = next(asked for asked in board["waiting_for"] if asked["step"] == step)
    return found


async def answer(handle: WorkflowHandle[Any, Any], action: str, step: str = "p", **more: Any) -> None:
    asked = await asked_by(handle, step)
    await tell(handle, "decide", step=step, action=action, hash=asked["hash"], **more)


# --- a step that calls a tool


async def test_a_call_starts_only_with_the_yes_to_what_was_shown(shop: Till, effects: Desk) -> None:
    tasks, _ = shop
    handle = await tasks.start([tool()])
    asked = await asked_by(handle)
    assert (asked["kind"], asked["ask"]) == ("approval", "Pay 6000 for tea?")
    assert asked["show"] == {
        "tool": "till.pay",
        "arguments": {"what": "tea", "cents": 6000, "fail": "", "late": 0},
    }
    assert asked["actions"] == ["approve", "reject", "edit", "always"]
    assert effects.events() == [], "nothing has begun"
    assert "say the hash" in await refusal_of(handle, "decide", step="p", action="approve")
    assert "has changed" in await refusal_of(handle, "decide", step="p", action="approve", hash="0" * 32)
    await answer(handle, "approve")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]


async def test_a_call_that_the_rule_leaves_alone_is_not_asked_for(shop: Till, effects: Desk) -> None:
    end = await shop[0].run([tool(input={"what": "tea", "cents": 5000})])
    assert end.type == "completed"
    assert effects.what("done") == ["tea"]


async def test_a_rejected_call_was_not_made_and_fails_its_step(shop: Till, effects: Desk) -> None:
    handle = await shop[0].start([{"id": "a", "tool": "desk.put", "input": {"what": "a"}}, tool(needs=["a"])])
    await answer(handle, "reject", note="too dear")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ApprovalDenied")
    assert end.failure["message"] == "ann does not allow till.pay: too dear"
    assert effects.what("begin", "undone") == ["a", "a"], "the payment was never begun, nor undone"


async def test_what_was_edited_is_checked_and_is_what_is_done(shop: Till, effects: Desk) -> None:
    handle = await shop[0].start([tool()], output="${{ steps.p.output.cents }}")
    asked = await asked_by(handle)
    bad = {"step": "p", "action": "edit", "hash": asked["hash"]}
    assert "'12' is not" in await refusal_of(handle, "decide", **bad, value={"what": "tea", "cents": "12"})
    assert "no 'cent' here" in await refusal_of(handle, "decide", **bad, value={"what": "tea", "cent": 1})
    await answer(handle, "edit", value={"what": "tea", "cents": 7000})
    assert (await end_of(handle)).output == 7000
    assert [event.note for event in effects.events("done")] == ["7000"]


async def test_nobody_answers_in_time(shop: Till, effects: Desk) -> None:
    demand = {"tool": "till.pay", "deadline": "1s"}
    handle = await shop[0].start([tool(approvals=[demand])])
    asked = await asked_by(handle)
    since, until = (datetime.fromisoformat(asked[key]) for key in ("since", "deadline"))
    assert (until - since, asked["default"]) == (timedelta(seconds=1), "reject")
    assert (await end_of(handle)).failure["type"] == "ApprovalExpired"
    assert effects.events() == []


async def test_two_different_people(shop: Till, effects: Desk) -> None:
    handle = await shop[0].start([tool(approvals=[{"tool": "till.pay", "people": 2}])])
    asked = await asked_by(handle)
    assert asked["actions"] == ["approve", "reject", "edit"], "always is for one person's word"
    await answer(handle, "approve")
    again = {"step": "p", "action": "approve", "hash": asked["hash"]}
    assert "ann has answered already" in await refusal_of(handle, "decide", **again)
    assert effects.events() == []
    (said,) = (await asked_by(handle))["said"]
    assert said["by"] == "ann"
    await handle.execute_update("decide", {**again, "by": "bob"})
    assert (await end_of(handle)).type == "completed"


async def test_of_two_people_one_edits_and_the_other_sees_it(shop: Till, effects: Desk) -> None:
    handle = await shop[0].start([tool(approvals=[{"tool": "till.pay", "people": 2}])])
    first = await asked_by(handle)
    await answer(handle, "edit", value={"what": "tea", "cents": 9000})
    second = await asked_by(handle, why="9000")
    assert second["hash"] != first["hash"]
    assert second["show"]["edited_by"] == "ann"
    await handle.execute_update(
        "decide", {"step": "p", "action": "approve", "hash": second["hash"], "by": "bob"}
    )
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == ["9000"]


async def test_a_spec_tightens_and_never_loosens(shop: Till, effects: Desk) -> None:
    never = {"tool": "till.pay", "when": "false"}
    handle = await shop[0].start([tool()], approvals=[never])
    await answer(handle, "approve")
    assert (await end_of(handle)).type == "completed"
    small = {"tool": "till.pay", "when": "arguments.cents > task.most", "ask": "Really?"}
    handle = await shop[0].start([tool(input={"what": "cake", "cents": 10}, approvals=[small])], {"most": 5})
    assert (await asked_by(handle))["ask"] == "Really?"
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.what("begin") == ["tea"]


async def test_what_was_read_before_is_read_again_after_the_yes(shop: Till, effects: Desk) -> None:
    tasks, _ = shop
    handle = await tasks.start([tool("top_up")])
    first = await asked_by(handle)
    assert first["ask"] == "Top tea up at 0?"
    assert (await tasks.run([tool("charge", input={"what": "tea", "cents": 1})])).type == "completed"
    await answer(handle, "approve")
    second = await asked_by(handle, why="at 1?")
    assert second["hash"] != first["hash"]
    assert effects.what("done") == ["tea"], "only the charge"
    await answer(handle, "approve")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea", "tea"]


async def test_a_yes_counts_for_another_try_of_the_same_call(shop: Till, effects: Desk) -> None:
    handle = await shop[0].start(
        [tool(input={"what": "tea", "fail": "after"}, on_failure="escalate", retry={"attempts": 1})]
    )
    await answer(handle, "approve")
    await until_asked(handle, "p", "what now?")
    await tell(handle, "decide", step="p", action="retry")
    await until_asked(handle, "p", "what now?")
    assert effects.what("begin", "undone") == ["tea", "tea"] * 2, "called again without another question"
    await tell(handle, "decide", step="p", action="rollback")
    assert (await end_of(handle)).type == "SagaRolledBack"


# --- an agent's calls


async def test_a_model_is_told_of_a_no_and_cannot_talk_its_way_past_it(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea", cents=6000), call("balance", what="tea")),
        Behaviour.calls(call("pay", what="tea", cents=6000)),
        Behaviour.text("I could not."),
    )
    handle = await tasks.start([agent()], output="${{ steps.c.output }}")
    await answer(handle, "reject", "c/tool.1", note="not today")
    await effects.until("balance", "tea")
    await answer(handle, "reject", "c/tool.3")
    assert (await end_of(handle)).output == "I could not."
    assert effects.what("begin") == []
    said = told(models.requests[1], "tool")
    assert "ApprovalDenied: ann does not allow till.pay: not today" in said[0]
    assert said[1] == "0", "the other call of the turn went on"


async def test_a_model_is_told_what_a_person_has_edited(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea", cents=9000)),
        Behaviour.calls(call("pay", what="tea", cents=9000)),
        Behaviour.text("Done."),
    )
    handle = await tasks.start([agent()])
    await answer(handle, "edit", "c/tool.1", value={"what": "tea", "cents": 100})
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == ["100"]
    first, second = told(models.requests[2], "tool")
    assert '"arguments": {"what": "tea", "cents": 100}' in first
    assert '"repeated"' in second, "what it has asked for was done, as a person wanted it"


async def test_always_is_for_what_stays_within_what_was_shown(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea", cents=9000)),
        Behaviour.calls(call("pay", what="tea", cents=8000)),
        Behaviour.calls(call("pay", what="tea", cents=9001)),
        Behaviour.calls(call("pay", what="cake", cents=8000)),
        Behaviour.text("Done."),
    )
    handle = await tasks.start([agent()])
    await answer(handle, "always", "c/tool.1")
    await answer(handle, "reject", "c/tool.3")
    await answer(handle, "reject", "c/tool.4")
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == ["9000", "8000"]


async def test_always_says_nothing_to_an_approval_that_was_not_asked_for(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea", cents=9000)),
        Behaviour.calls(call("pay", what="tea", cents=8000)),
        Behaviour.text("Done."),
    )
    other = {"tool": "till.pay", "when": "arguments.cents < 8500", "ask": "So little?", "always": True}
    handle = await tasks.start([agent(approvals=[other])])
    await answer(handle, "always", "c/tool.1")
    await answer(handle, "reject", "c/tool.2")
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == ["9000"]


@pytest.mark.parametrize("arguments", [{"cents": "9000"}, {"cents": 1, "Cents": 9000}, {"cents": 9000.5}])
async def test_arguments_that_a_tool_would_read_generously_do_not_pass_a_rule(
    shop: Till, effects: Desk, arguments: dict[str, Any]
) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea", **arguments)), Behaviour.text("No.")
    )
    end = await tasks.run([agent()])
    assert end.type == "completed"
    assert effects.what("begin") == []
    assert "InvalidInput" in told(models.requests[1], "tool")[0]


async def test_an_expired_question_may_end_the_agents_step(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(Behaviour.calls(call("pay", what="tea")))
    demand = {"tool": "till.pay", "deadline": "200ms", "default": "fail"}
    end = await tasks.run([agent()], approvals=[demand])
    assert end.failure["type"] == "ApprovalExpired"
    assert models.count("cashier") == 1
    assert effects.what("begin") == []


async def test_a_parent_demands_approvals_of_its_children(shop: Till, effects: Desk) -> None:
    tasks, _ = shop
    child = {"id": "k", "workflow": "desk.tidy", "input": {"what": "pen"}}
    handle = await tasks.start([child], approvals=[{"tool": "desk.put", "ask": "Put it there?"}])
    asked = await asked_by(handle, "place")
    assert asked["task"] == f"{handle.id}/k#1"
    inner = tasks.client.get_workflow_handle(asked["task"])
    assert effects.events() == []
    await tell(inner, "decide", step="place", action="approve", hash=asked["hash"])
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["pen"]


async def test_one_yes_is_for_one_of_two_equal_calls(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("tip", what="tea", cents=1), call("tip", what="tea", cents=1)),
        Behaviour.text("Done."),
    )
    handle = await tasks.start([agent(approvals=[{"tool": "till.tip"}])])
    await until_asked(handle, "c/tool.2")
    await answer(handle, "approve", "c/tool.1")
    await effects.until("done", "tea")
    await answer(handle, "reject", "c/tool.2")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]


async def test_a_yes_that_a_failed_call_has_left_is_for_one_more_call(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    tips = Behaviour.calls(call("tip", what="tea", cents=1, fail="first"))
    models.for_model("cashier").reply(tips, tips, tips, Behaviour.text("Done."))
    handle = await tasks.start([agent(approvals=[{"tool": "till.tip"}])])
    await answer(handle, "approve", "c/tool.1")
    await answer(handle, "reject", "c/tool.3")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("begin") == ["tea", "tea"]
    assert effects.what("done") == ["tea"]


# --- the pivot


async def test_an_agent_chooses_the_pivot_with_two_yeses(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("banker").reply(
        Behaviour.calls(call("pay", what="tea", cents=1)),
        Behaviour.calls(call("wire", what="gold", cents=2), call("charge", what="stamp", cents=1)),
        Behaviour.calls(call("pay", what="cake", cents=1), call("charge", what="tax", cents=1)),
        Behaviour.text("Wired."),
    )
    handle = await tasks.start([agent("banker", effect="pivot")], output="${{ steps.c.output }}")
    asked = await asked_by(handle, "c/tool.3")
    assert effects.what("done") == ["tea", "stamp"], "what was asked for beside it goes first"
    await answer(handle, "approve", "c/tool.3")
    await handle.execute_update(
        "decide", {"step": "c/tool.3", "action": "approve", "hash": asked["hash"], "by": "bob"}
    )
    assert (await end_of(handle)).output == "Wired."
    assert effects.what("done") == ["tea", "stamp", "gold", "tax"]
    assert "past the point of no return" in told(models.requests[3], "tool")[3]


async def test_a_pivot_that_is_not_allowed_leaves_everything_to_be_undone(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("banker").reply(
        Behaviour.calls(call("pay", what="tea", cents=1)),
        Behaviour.calls(call("wire", what="gold", cents=2)),
        Behaviour.calls(call("abandon_and_undo_everything", reason="no")),
        Behaviour.calls(call("abandon_and_undo_everything", reason="no")),
    )
    handle = await tasks.start([agent("banker", effect="pivot")])
    await answer(handle, "reject", "c/tool.2")
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.what("done", "undone") == ["tea", "tea"]


async def test_a_step_that_does_not_say_so_is_no_pivot(shop: Till) -> None:
    end = await shop[0].run([agent("banker")])
    assert end.type == "InvalidSpec"
    assert "till.banker may call the pivot till.wire; say effect: pivot" in end.message


# --- what is in between


async def test_a_cancel_while_a_person_is_asked(shop: Till, effects: Desk) -> None:
    tasks, models = shop
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="milk", cents=1)), Behaviour.calls(call("pay", what="tea"))
    )
    handle = await tasks.start([agent()])
    await until_asked(handle, "c/tool.2")
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.what("begin", "undone") == ["milk", "milk"]


async def test_a_yes_to_further_calls_travels_into_a_continued_run(
    shop: Till, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, models = shop
    monkeypatch.setattr(history_size, "LONG_EVENTS", 30)
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea")),
        Behaviour.text("One."),
        Behaviour.calls(call("pay", what="tea", cents=5500)),
        Behaviour.calls(call("pay", what="tea", cents=6001)),
        Behaviour.text("Two."),
    )
    chain = [put("q", "c"), *(put(name, before) for before, name in zip("qrstu", "rstuv", strict=True))]
    handle = await tasks.start([agent(), *chain, {**agent(), "id": "d", "needs": ["v"]}])
    await answer(handle, "always", "c/tool.1")
    asked = await asked_by(handle, "d/tool.2")
    assert [event.note for event in effects.events("done") if event.what == "tea"] == ["6000", "5500"]
    assert (await handle.describe()).run_id != handle.first_execution_run_id, "it has continued as new"
    await tell(handle, "decide", step="d/tool.2", action="approve", hash=asked["hash"])
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done") if event.what == "tea"] == ["6000", "5500", "6001"]


async def test_who_uses_none_of_it_pays_nothing_for_it(shop: Till, effects: Desk) -> None:
    tasks, _ = shop
    handle = await tasks.start([put("a"), put("b", "a")])
    assert (await end_of(handle)).type == "completed"
    events = [event.WhichOneof("attributes") async for event in handle.fetch_history_events()]
    calls = [name for name in events if name and "activity_task" in name]
    assert len(calls) == 2 * 3
    assert not any(name and ("timer" in name or "update" in name) for name in events)
    text = "".join([str(event) async for event in handle.fetch_history_events()])
    assert "approv" not in text and "consent" not in text


# --- from a conversation that has moved


async def test_a_long_conversation_asks_and_does_not_repeat_itself(
    shop: Till, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, models = shop
    monkeypatch.setattr(agent_loop, "MAX_TURNS", 2)
    models.for_model("cashier").reply(
        Behaviour.calls(call("pay", what="tea", cents=10)),
        Behaviour.calls(call("balance", what="tea")),
        Behaviour.calls(call("pay", what="tea", cents=10)),
        Behaviour.calls(call("pay", what="gold", cents=9000)),
        Behaviour.calls(call("pay", what="tea", cents=10)),
        Behaviour.text("Done."),
    )
    demand = {"tool": "till.pay", "when": "arguments.cents > task.most", "ask": "So much?"}
    handle = await tasks.start([agent(approvals=[demand])], {"most": 50})
    await until_asked(handle, "c/tool.3", "So much?")
    (asked,) = (await handle.query("board"))["waiting_for"]
    child = tasks.client.get_workflow_handle(asked["task"])
    assert asked["task"] != handle.id, "the conversation has moved to a child"
    await tell(child, "decide", step="c/tool.3", action="approve", hash=asked["hash"])
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea", "gold"]
    repeats = [text for text in told(models.requests[-1], "tool") if '"repeated"' in text]
    assert len(repeats) == 2
    assert '"cents": 10' in repeats[0], "what the parent had been told"
