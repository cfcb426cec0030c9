"""What follows when a limit of the pool is reached, and nobody fails or waits: a question, or a summary."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle

from counterstep import Saga
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.tests.support.bundles.agents import Happened, Limited, board_of, step
from counterstep.tests.support.bundles.desk import Desk, put
from counterstep.tests.support.tasks.tasks import (
    end_of,
    refusal_of,
    tell,
    until_asked,
    until_step,
)

pytestmark = pytest.mark.long

ONE_CALL = "limits: [{name: calls, model_calls: 1, per: 1d}]"
CALLS_OF_6_SECONDS = "limits: [{name: calls, model_calls: 1, per: 6s}]"
ONE_TASK = "limits: [{name: tasks_a_day, tasks: 1, per: 1d}]"
FIRST = {"id": "first", "tool": "desk.put", "input": {"what": "first"}}
DONE = Behaviour.json({"placed": ["x"]})


@workflow.defn(sandboxed=False)
class Judged:
    """Puts two things on the desk, each of which a judge looks at."""

    @workflow.run
    async def run(self) -> None:
        """Puts them there."""
        judge = {"judge": {"model": "openai/judge", "criteria": "It is fine."}}
        async with Saga(on_limit="escalate") as saga:
            for what in ("a", "b"):
                await saga.call(put, what=what, validate=[judge])


# --- escalate


async def test_a_person_is_asked_who_looks_again_or_ends_it(limited: Limited, effects: Desk) -> None:
    async with limited(ONE_CALL) as (tasks, models):
        models.for_model("clerk").reply(Behaviour.calls(call("put", what="x")), DONE)
        handle = await tasks.start([step("clerk", on_limit="escalate")])
        await until_asked(handle, "clerk/limit", "the limit calls is reached")
        board = await board_of(handle)
        (asked,) = board["waiting_for"]
        assert asked["actions"] == ["retry", "wait", "end"]
        assert asked["show"]["until"] in asked["ask"]
        assert (board["state"], board["steps"]["clerk"]["attempts"], models.count()) == ("waiting", 1, 1)
        why = await refusal_of(handle, "decide", step="clerk/limit", action="raise", by="ada")
        assert "'clerk/limit' takes retry, wait, end, not 'raise'" in why
        await tell(handle, "decide", step="clerk/limit", action="retry", by="ada")
        await until_asked(handle, "clerk/limit", "the limit calls is reached")
        ids = [call for call in Happened([*(await handle.fetch_history()).events]).ids if "/model." in call]
        assert ids == ["clerk/model.1#1", "clerk/model.2#1", "clerk/model.2#1"], "it has looked again"
        await tell(handle, "decide", step="clerk/limit", action="end", by="ada")
        end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LimitReached")
    assert (models.count(), effects.effects()) == (1, {})


async def test_a_person_says_retry_when_workers_have_other_limits(limited: Limited, effects: Desk) -> None:
    async with limited(ONE_CALL) as (tasks, models):
        models.for_model("clerk").reply(Behaviour.calls(call("put", what="x")))
        handle = await tasks.start([step("clerk", on_limit="escalate")])
        await until_asked(handle, "clerk/limit")
    async with limited("limits: [{name: calls, model_calls: 9, per: 1d}]") as (_, models):
        models.for_model("clerk").reply(DONE)
        await tell(handle, "decide", step="clerk/limit", action="retry", by="ada")
        end = await end_of(handle)
        assert (end.type, models.count(), list(effects.effects())) == ("completed", 1, ["x"])
        assert end.details["usage"]["model_calls"] == 2, "what was not sent counts for nothing"
        decided = [d for d in (await board_of(handle))["decisions"] if d["by"] == "ada"]
        assert [d["action"] for d in decided] == ["retry"]


async def test_judges_of_a_workflow_of_ones_own_ask_as_well(limited: Limited, effects: Desk) -> None:
    async with limited("limits: [{name: none, tokens: 1, per: 1d}]", workflows=[Judged]) as (tasks, models):
        handle = await tasks.start_workflow("Judged")
        end = await end_of(handle)
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected"), "it can never fit"
    async with limited(ONE_CALL, workflows=[Judged]) as (tasks, models):
        models.for_model("judge").default = Behaviour.json({"score": 1, "reasons": ["fine"]})
        handle = await tasks.start_workflow("Judged")
        await until_asked(handle, "put_2/judge.0/limit")
        await tell(handle, "decide", step="put_2/judge.0/limit", action="end", by="ada")
        end = await end_of(handle)
    assert (end.type, end.failure["step"], end.failure["type"]) == ("SagaRolledBack", "put_2", "LimitReached")
    assert (models.count(), effects.effects()) == (1, {})


async def test_a_person_lets_a_call_wait_for_room(limited: Limited, effects: Desk) -> None:
    async with limited(CALLS_OF_6_SECONDS) as (tasks, models):
        models.for_model("clerk").reply(*[Behaviour.calls(call("put", what=x)) for x in "xyz"])
        models.for_model("clerk").default = DONE
        handle = await tasks.start([step("clerk", on_limit="escalate")])
        await until_asked(handle, "clerk/limit")
        await tell(handle, "decide", step="clerk/limit", action="wait", by="ada")
        await until_step(handle, "clerk", "waiting")
        await until_asked(handle, "clerk/limit")
        await tell(handle, "decide", step="clerk/limit", action="end", by="ada")
        end = await end_of(handle)
    assert (end.failure["type"], effects.effects()) == ("LimitReached", {})
    assert models.count() > 1


async def test_a_cancel_ends_the_question(limited: Limited, effects: Desk) -> None:
    async with limited(ONE_CALL) as (tasks, models):
        models.for_model("clerk").reply(Behaviour.calls(call("put", what="x")))
        handle = await tasks.start([step("clerk")], on_limit="escalate")
        await until_asked(handle, "clerk/limit")
        await handle.cancel()
        end = await end_of(handle)
    assert (end.type, effects.effects()) == ("cancelled", {})


async def test_who_holds_a_task_up_before_its_start_is_asked_about(limited: Limited, effects: Desk) -> None:
    async with limited(ONE_TASK) as (tasks, _):
        assert (await tasks.run([FIRST])).type == "completed"
        handle = await tasks.start([FIRST], on_limit="escalate")
        await until_asked(handle, "limit", "the limit tasks_a_day lets no more tasks begin for now")
        assert (await board_of(handle))["state"] == "waiting"
        await tell(handle, "decide", step="limit", action="retry", by="ada")
        await until_asked(handle, "limit")
        await tell(handle, "decide", step="limit", action="end", by="ada")
        assert (await end_of(handle)).type == "LimitReached"
        handle = await tasks.start([FIRST], on_limit="escalate", deadline="2s")
        assert (await end_of(handle)).type == "DeadlineExceeded"
        handle = await tasks.start([FIRST], on_limit="escalate")
        await until_asked(handle, "limit")
        await handle.cancel()
        assert (await end_of(handle)).type == "cancelled"
    assert effects.what("done") == ["first"]


async def test_a_task_begins_when_a_person_has_found_room_for_it(limited: Limited, effects: Desk) -> None:
    async with limited("limits: [{name: tasks, tasks: 1, per: 5s}]") as (tasks, _):
        # More than begin in the two windows that they may be started in.
        handles = [await tasks.start([FIRST], on_limit="escalate") for _ in range(3)]
        answers = [await wait_for_room(handle) for handle in handles]
    assert sum(answers) > 0
    assert effects.what("done") == ["first"] * 3


async def wait_for_room(handle: WorkflowHandle[Any, Any]) -> int:
    """Has a task wait as often as it asks, until it is completed; returns how often that was."""
    answers = 0
    while (board := await board_of(handle))["state"] != "completed":
        if board["waiting_for"]:
            await tell(handle, "decide", step="limit", action="wait", by="ada")
            answers += 1
        await asyncio.sleep(0.1)
    return answers


# --- finish


async def test_one_short_call_sums_up_where_a_limit_has_room_for_that(
    limited: Limited, effects: Desk
) -> None:
    async with limited("limits: [{name: words, tokens: 8000, per: 1d}]") as (tasks, models):
        models.for_model("clerk").reply(
            Behaviour.calls(call("put", what="x")).with_(usage=(1000, 1000)), DONE
        )
        handle = await tasks.start([step("clerk", on_limit="finish")])
        end = await end_of(handle)
    assert (end.type, effects.what("done")) == ("completed", ["x"])
    assert "the limit words is reached" in end.details["degraded"]["clerk"]
    last = models.requests[-1].body
    assert (models.count(), "tools" in last, last["max_tokens"]) == (2, False, 1024)
    assert "A limit is reached: the limit words is reached" in last["messages"][-1]["content"]


async def test_where_a_limit_has_no_room_for_that_it_fails(limited: Limited, effects: Desk) -> None:
    async with limited(ONE_CALL) as (tasks, models):
        models.for_model("clerk").reply(Behaviour.calls(call("put", what="x")), DONE)
        end = await tasks.run([step("clerk", on_limit="finish")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "LimitReached")
    assert (models.count(), effects.effects()) == (1, {})
