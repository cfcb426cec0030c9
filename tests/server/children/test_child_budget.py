"""G13, G23: a child spends a part of its parent's budget, asks for more, and gives back what it leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import step, team_at_work, until
from counterstep.tests.support.bundles.claims import claims
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.histories.replay import replayer_of
from counterstep.tests.support.tasks.tasks import Tasks, child_of, end_of, tell, until_step
from counterstep.tests.support.tasks.work import child, put
from counterstep.tests.support.workflows.own_workflows import AsksAgain

pytestmark = pytest.mark.long

Team = tuple[Tasks, ModelServer]

ASKS, ANSWERS = "counterstep.child_spends", "counterstep.parent_allots"


@pytest.fixture
async def team_here(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch) as team:
        yield team


def inline(tasks: Tasks, id_: str, *needs: str, steps: list[dict[str, Any]], **keys: Any) -> dict[str, Any]:
    """A step that starts a child of these steps."""
    spec = {"name": "child", "steps": steps, **keys.pop("spec", {})}
    return child(id_, "AgentTask", *needs, input={"spec": spec}, task_queue=tasks.task_queue, **keys)


def writers(count: int, **keys: Any) -> list[dict[str, Any]]:
    """So many steps of one model call each, one after the other."""
    return [
        {**step("writer", **keys), "id": f"w{n}", "needs": [f"w{n - 1}"] if n else []} for n in range(count)
    ]


async def signals(handle: Any, name: str) -> int:
    """How many signals of this name a workflow has got."""
    events = [event async for event in handle.fetch_history_events()]
    return sum(event.workflow_execution_signaled_event_attributes.signal_name == name for event in events)


async def until_signal(handle: Any, name: str, count: int) -> None:
    """Waits until a workflow has got so many signals of this name."""
    for _ in range(600):
        if await signals(handle, name) >= count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{await signals(handle, name)} of {count} signals have come")


async def test_a_child_spends_its_parents_budget_and_asks_for_more(team_here: Team, effects: Desk) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    ten = [put("a"), inline(tasks, "ch", "a", steps=writers(10))]
    handle = await tasks.start(ten, budget={"model_calls": 10})
    end = await end_of(handle)
    assert (end.type, models.count(), end.details["usage"]["model_calls"]) == ("completed", 10, 10)
    assert 1 <= await signals(handle, ASKS) <= 8
    end = await tasks.run(ten, budget={"model_calls": 9})
    assert end.type == "SagaRolledBack"
    assert (end.failure["step"], end.failure["type"]) == ("ch", "BudgetExceeded")
    assert "the budget of 9 model calls is used up" in end.failure["message"]
    assert (models.count(), end.details["usage"]["model_calls"]) == (19, 9)
    assert effects.what("undone") == ["a"]


async def test_what_is_left_comes_back_and_a_child_keeps_to_its_own_budget(
    team_here: Team, effects: Desk
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    one = inline(tasks, "one", steps=writers(1))
    two = inline(
        tasks, "two", "one", steps=writers(3), spec={"budget": {"model_calls": 2}}, on_failure="skip"
    )
    handle = await tasks.start([one, {**step("writer"), "needs": ["one"]}], budget={"model_calls": 2})
    assert (await end_of(handle)).type == "completed"
    assert models.count() == 2
    end = await tasks.run([one, two], budget={"model_calls": 9})
    assert end.type == "completed", "its parent has more, and does what it says of a failure"
    assert "the budget of 2 model calls is used up" in end.details["degraded"]["two"]
    assert (models.count(), end.details["usage"]["model_calls"]) == (5, 3)


async def test_nothing_is_asked_where_there_is_no_budget(team_here: Team, effects: Desk) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    handle = await tasks.start([inline(tasks, "ch", steps=writers(2))])
    assert (await end_of(handle)).type == "completed"
    assert await signals(handle, ASKS) == 0
    for run in (handle, child_of(tasks, handle, "ch#1")):
        text = b"".join([event.SerializeToString() async for event in run.fetch_history_events()])
        assert b"allotment" not in text


@pytest.mark.parametrize(("budget", "ends"), [(30, "completed"), (17, "SagaRolledBack")])
async def test_ten_children_side_by_side_never_spend_more_than_their_parent_may(
    team_here: Team, effects: Desk, budget: int, ends: str
) -> None:
    tasks, models = team_here

    def answer(body: dict[str, Any]) -> Behaviour:
        place = json.loads(body["messages"][1]["content"])["what"]
        turns = sum(message["role"] == "tool" for message in body["messages"])
        done = Behaviour.json({"placed": []})
        return done if turns == 2 else Behaviour.calls(call("put", what=f"{place}{turns}"))

    models.for_model("clerk").default = answer
    ten = inline(tasks, "ch", steps=[step("clerk", what="${{ string(index) }}")], for_each=str([*range(10)]))
    handle = await tasks.start([put("a"), {**ten, "needs": ["a"]}], budget={"model_calls": budget})
    end = await end_of(handle)
    assert end.type == ends
    assert models.count() <= budget
    assert end.details["usage"]["model_calls"] <= budget
    if ends == "completed":
        assert (models.count(), len(effects.effects())) == (30, 21), "what is enough is enough"
    else:
        assert end.failure["type"] == "BudgetExceeded"
        assert effects.effects() == {}


async def test_the_ask_goes_up_to_the_one_that_has_the_budget(team_here: Team, effects: Desk) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    inner = [inline(tasks, "in1", steps=writers(4)), inline(tasks, "in2", "in1", steps=writers(4))]
    nested = [inline(tasks, "mid", steps=inner)]
    end = await tasks.run(nested, budget={"model_calls": 8})
    assert (end.type, models.count(), end.details["usage"]["model_calls"]) == ("completed", 8, 8)
    end = await tasks.run(nested, budget={"model_calls": 7})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert models.count() <= 15
    assert end.details["usage"]["model_calls"] <= 7


@pytest.mark.parametrize("by", ["agent", "steps"])
async def test_a_child_asks_for_more_tool_calls(team_here: Team, effects: Desk, by: str) -> None:
    tasks, models = team_here
    things = ["x0", "x1", "x2", "x3"]
    steps = [put(what, *things[:n][-1:]) for n, what in enumerate(things)]
    if by == "agent":
        steps = [step("clerk")]
        puts = [Behaviour.calls(call("put", what=what)) for what in things]
        models.for_model("clerk").reply(*[*puts, Behaviour.json({"placed": things})], *puts)
    inner = inline(tasks, "inner", steps=steps)
    handle = await tasks.start([inline(tasks, "ch", steps=[inner])], budget={"tool_calls": 4})
    end = await end_of(handle)
    assert (end.type, end.details["usage"]["tool_calls"]) == ("completed", 4)
    assert sorted(effects.effects()) == things
    await replayer_of().replay_workflow(await handle.fetch_history())
    end = await tasks.run([inline(tasks, "ch", steps=steps)], budget={"tool_calls": 3})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert "the budget of 3 tool calls is used up" in end.failure["message"]
    assert (len(effects.what("done")), end.details["usage"]["tool_calls"]) == (4 + 3, 3)


async def test_a_child_asks_for_more_handoffs(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, claims]) as (tasks, models):
        models.for_model("desk").default = Behaviour.calls(call("transfer_to_fraud", claim="c1", score=9))
        models.for_model("fraud").default = Behaviour.json({"decision": "denied"})
        steps = [{"id": id_, "agent": "claims.desk", "input": {"claim": "c1"}} for id_ in ("w0", "w1")]
        inner = inline(tasks, "inner", steps=[steps[0], {**steps[1], "needs": ["w0"]}])
        handle = await tasks.start([inline(tasks, "ch", steps=[inner])], budget={"handoffs": 2})
        end = await end_of(handle)
        assert (end.type, end.details["usage"]["handoffs"], models.count("fraud")) == ("completed", 2, 2)
        assert await signals(handle, ASKS) > 0
        await replayer_of().replay_workflow(await handle.fetch_history())
        end = await tasks.run([inner], budget={"handoffs": 1})
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
        assert "the budget of 1 handoff is used up" in end.failure["message"]
        assert (models.count("fraud"), end.details["usage"]["handoffs"]) == (3, 1)


async def test_that_there_are_no_more_tool_calls_refuses_no_model_call_that_waits_beside(
    team_here: Team, effects: Desk
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    models.for_model("clerk").reply(Behaviour.calls(call("put", what="z")), Behaviour.json({"placed": []}))
    (writes,) = writers(1, retry={"attempts": 1})
    steps = [
        put("y"),
        {**step("clerk", retry={"attempts": 1}, on_limit="finish"), "needs": ["y"]},
        {"id": "ok", "approve": {"ask": "Well?"}},
        {**writes, "needs": ["ok"]},
    ]
    held = inline(tasks, "held", steps=[put("x", late=HELD)])
    budget = {"model_calls": 6, "tool_calls": 2}
    handle = await tasks.start([held, inline(tasks, "ch", steps=steps)], budget=budget)
    await effects.until("done", "x")
    await until_signal(handle, ASKS, 1)  # for z, which waits for what the other child leaves
    inner = child_of(tasks, handle, "ch#1")
    await tell(inner, "decide", step="ok", action="approve")
    await until_step(inner, "w0", "running")
    effects.release("x")
    end = await end_of(handle)
    assert (end.type, models.count("writer"), sorted(effects.effects())) == ("completed", 1, ["x", "y"])
    last = [request for request in models.requests if request.model == "clerk"][-1].body["messages"][-1]
    assert "A limit is reached: the budget of 2 tool calls is used up" in last["content"]


@pytest.mark.parametrize("budget", [{"tokens": 9000}, {"usd": 0.3}])
async def test_tokens_and_dollars_are_shared_as_well(
    team_here: Team, effects: Desk, budget: dict[str, Any]
) -> None:
    tasks, models = team_here
    usage = (3000, 0) if "tokens" in budget else (1_000_000, 0)  # $0.15
    models.for_model("gpt-4o-mini").default = Behaviour.text("words").with_(usage=usage)
    steps = [{**step("priced"), "id": f"s{n}", "needs": [f"s{n - 1}"] if n else []} for n in range(4)]
    end = await tasks.run([inline(tasks, "ch", steps=steps)], budget=budget)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
    assert models.count() == (3 if "tokens" in budget else 2)


async def test_an_ask_waits_for_what_another_child_leaves(team_here: Team, effects: Desk) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    held = inline(tasks, "held", steps=[put("x", late=HELD)])
    handle = await tasks.start([held, inline(tasks, "ch", steps=writers(4))], budget={"model_calls": 4})
    await effects.until("done", "x")
    await until(models, 2)
    effects.release("x")
    end = await end_of(handle)
    assert (end.type, models.count()) == ("completed", 4)


async def test_who_waits_for_an_answer_can_be_stopped_and_the_parent_forgets_the_ask(
    team_here: Team, effects: Desk
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    held = inline(tasks, "held", steps=[put("x", late=HELD)])
    poor = inline(tasks, "ch", steps=[put("y"), *[{**w, "needs": w["needs"] or ["y"]} for w in writers(4)]])
    handle = await tasks.start([held, poor], budget={"model_calls": 4})
    await effects.until("done", "x")
    await until_signal(handle, ASKS, 1)
    await handle.cancel()
    effects.release("x")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}
    assert models.count() <= 4


@pytest.mark.parametrize("how", ["cancelled", "terminated"])
async def test_what_a_child_left_that_was_ended_from_outside(
    team_here: Team, effects: Desk, how: str
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    steps = [*writers(1), {**put("x", "w0", late=HELD), "timeout": "3s"}]
    ended = inline(tasks, "ch", steps=steps, on_failure="skip")
    handle = await tasks.start(
        [ended, *[{**w, "needs": w["needs"] or ["ch"]} for w in writers(7)]], budget={"model_calls": 8}
    )
    await effects.until("done", "x")
    inner = child_of(tasks, handle, "ch#1")
    await (inner.cancel() if how == "cancelled" else inner.terminate())
    effects.release("x")
    end = await end_of(handle)
    if how == "cancelled":
        assert (end.type, models.count()) == ("completed", 8), "seven of eight have come back"
        assert end.details["usage"]["model_calls"] == 8
    else:
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "BudgetExceeded")
        assert models.count() == 1 + 4, "nobody knows what it has spent of its half"
    assert effects.effects() == {}


async def test_a_cancelled_child_tells_what_it_has_spent_where_there_is_no_budget(
    team_here: Team, effects: Desk
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    steps = [*writers(2), {**put("x", "w1", late=HELD), "timeout": "3s"}]
    handle = await tasks.start([inline(tasks, "ch", steps=steps, on_failure="skip"), put("y", "ch")])
    await effects.until("done", "x")
    await child_of(tasks, handle, "ch#1").cancel()
    effects.release("x")
    end = await end_of(handle)
    assert (end.type, models.count(), end.details["usage"]["model_calls"]) == ("completed", 2, 2)
    assert list(effects.effects()) == ["y"]
    assert await signals(handle, ASKS) == 1
    await replayer_of().replay_workflow(await handle.fetch_history())


async def test_that_nobody_knows_what_a_terminated_child_has_spent_is_told(
    team_here: Team, effects: Desk
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    steps = [*writers(1), {**put("x", "w0", late=HELD), "timeout": "3s"}]
    handle = await tasks.start([inline(tasks, "ch", steps=steps, on_failure="skip")])
    await effects.until("done", "x")
    await child_of(tasks, handle, "ch#1").terminate()
    effects.release("x")
    assert (await end_of(handle)).type == "completed"
    told = [line["what"] for line in (await handle.query("board"))["log"]]
    assert "what the child has spent is not known, and it does not count" in told


@pytest.mark.parametrize("budget", [{}, {"budget": {"model_calls": 9}}], ids=["no budget", "a budget"])
@pytest.mark.parametrize("ends", ["completed", "failed", "timed out"])
async def test_what_earlier_runs_of_a_workflow_of_ones_own_have_spent_counts(
    server: EmbeddedServer,
    task_queue: str,
    monkeypatch: pytest.MonkeyPatch,
    effects: Desk,
    budget: dict[str, Any],
    ends: str,
) -> None:
    given = {"left": 2, "sleeps": 60 if ends == "timed out" else 0, "fails": ends == "failed"}
    keys = {"on_failure": "skip", "timeout": "3s" if ends == "timed out" else "60s"}
    asked = 2 if ends == "failed" else 3
    async with team_at_work(server.address, task_queue, monkeypatch, workflows=[AsksAgain]) as (
        tasks,
        models,
    ):
        models.for_model("writer").default = Behaviour.text("words")
        handle = await tasks.start([child("ch", "AsksAgain", input=given, **keys), put("y", "ch")], **budget)
        end = await end_of(handle)
        assert (end.type, models.count(), end.details["usage"]["model_calls"]) == ("completed", asked, asked)
        assert (await handle.query("board"))["steps"]["ch"]["usage"]["model_calls"] == asked


async def test_an_ask_that_comes_twice_is_granted_once_and_forged_ones_never(
    team_here: Team, effects: Desk
) -> None:
    tasks, models = team_here
    models.for_model("writer").default = Behaviour.text("words")
    handle = await tasks.start(
        [inline(tasks, "ch", steps=[*writers(4), put("x", "w3", late=HELD)])], budget={"model_calls": 6}
    )
    await effects.until("done", "x")
    inner = child_of(tasks, handle, "ch#1")
    events = [event async for event in handle.fetch_history_events()]
    heard = [e.workflow_execution_signaled_event_attributes for e in events]
    asks = [json.loads(s.input.payloads[0].data) for s in heard if s.signal_name == ASKS]
    before = await signals(inner, ANSWERS)
    spent = {**asks[-1]["spent"], "model_calls": -100}
    for forged in ({**asks[-1], "ask": "z", "spent": spent}, {**asks[-1], "child": "nobody"}, {}, 7):
        await handle.signal(ASKS, forged)
    await inner.signal(ANSWERS, {"ask": "z", "most": {"model_calls": 1000}})
    await handle.signal(ASKS, asks[-1])
    await until_signal(inner, ANSWERS, before + 2)
    effects.release("x")
    end = await end_of(handle)
    assert (end.type, end.details["usage"]["model_calls"]) == ("completed", 4)


async def test_the_worker_goes_between_the_ask_and_its_answer(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        models.for_model("writer").default = Behaviour.text("words")
        asks = inline(tasks, "held", steps=[{"id": "ok", "approve": {"ask": "Well?"}}])
        handle = await tasks.start([asks, inline(tasks, "ch", steps=writers(4))], budget={"model_calls": 4})
        # It asks before each call, whose retries need more than it has. The third ask has to wait for what
        # the other child leaves. No call is under way then: one that is broken off counts, and is made again.
        await until_signal(handle, ASKS, 3)
    assert models.count() == 2
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        models.for_model("writer").default = Behaviour.text("words")
        await tell(child_of(tasks, handle, "held#1"), "decide", step="ok", action="approve")
        end = await end_of(handle)
        assert (end.type, end.details["usage"]["model_calls"]) == ("completed", 4)
        assert models.count() == 2
