"""G23: limits of the pool and breakers that hold a task up, and what it does meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from counterstep.testing.model_behaviour import Behaviour
from counterstep.tests.support.bundles.agents import Limited, board_of, step
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.histories.history import events_of
from counterstep.tests.support.tasks.tasks import end_of, until_state

ONE_CALL = "limits: [{name: calls_a_day, model_calls: 1, per: 1d}]"
ONE_TASK = "limits: [{name: tasks_a_day, tasks: 1, per: 1d}]"
BREAKER = "breakers: {failures: 1, within: 1m, cool_down: 4s}"
FIRST = {"id": "first", "tool": "desk.put", "input": {"what": "first"}}
TWO = [
    FIRST,
    {**step("writer"), "needs": ["first"]},
    {**step("helper", on_limit="fail"), "needs": ["writer"]},
]


async def test_a_limit_fails_a_call_before_it_is_sent_and_the_task_is_undone(
    limited: Limited, effects: Desk
) -> None:
    async with limited(ONE_CALL) as (tasks, models):
        models.default = Behaviour.text("words")
        end = await tasks.run(TWO)
    assert (end.type, end.failure["step"], end.failure["type"]) == (
        "SagaRolledBack",
        "helper",
        "LimitReached",
    )
    assert "calls_a_day" in end.failure["message"]
    assert (models.count(), effects.effects()) == (1, {})
    assert end.details["usage"]["model_calls"] == 1


async def test_a_task_waits_for_a_limit_of_a_day_and_a_cancel_ends_that_at_once(
    limited: Limited, effects: Desk
) -> None:
    async with limited(ONE_CALL) as (tasks, models):
        models.default = Behaviour.text("words")
        handle = await tasks.start([*TWO[:2], {**step("helper", on_limit="wait"), "needs": ["writer"]}])
        board = await until_state(handle, "waiting")
        helper = board["steps"]["helper"]
        assert (helper["state"], helper["attempts"], models.count()) == ("waiting", 1, 1)
        assert "calls_a_day" in str(board["log"])
        await handle.cancel()
        end = await end_of(handle)
    assert (end.type, models.count(), effects.effects()) == ("cancelled", 1, {})


async def test_a_breaker_that_is_open_is_waited_for_and_then_one_probe_goes_on(
    limited: Limited, effects: Desk
) -> None:
    async with limited(BREAKER) as (tasks, models):
        models.for_model("writer").reply(Behaviour.error(503))
        models.for_model("writer").default = Behaviour.text("words")
        handle = await tasks.start([{**step("writer"), "retry": {"attempts": 1}}])
        assert (await end_of(handle)).type == "SagaRolledBack"
        handle = await tasks.start([FIRST, {**step("writer"), "needs": ["first"], "retry": {"attempts": 1}}])
        await until_state(handle, "waiting")
        end = await end_of(handle)
        assert (end.type, models.count()) == ("completed", 2)
        assert (await board_of(handle))["steps"]["writer"]["attempts"] == 1


async def test_attempts_that_were_made_count_whatever_lies_between_them(
    limited: Limited, effects: Desk
) -> None:
    async with limited("breakers: {failures: 2, within: 1m, cool_down: 4s}") as (tasks, models):
        models.for_model("writer").default = Behaviour.error(503)
        retry = {"attempts": 3, "initial": "100ms"}
        handle = await tasks.start([FIRST, {**step("writer"), "needs": ["first"], "retry": retry}])
        await until_state(handle, "waiting")
        end = await end_of(handle)
    assert (end.type, models.count(), effects.effects()) == ("SagaRolledBack", 3, {})
    assert end.failure["type"] == "ModelUnavailable"


async def test_who_has_another_rung_takes_it_at_once(limited: Limited, effects: Desk) -> None:
    async with limited(BREAKER) as (tasks, models):
        models.for_model("writer").default = Behaviour.error(503)
        models.for_model("helper").default = Behaviour.json({"placed": []})
        falls_back = {**step("writer"), "retry": {"attempts": 1}, "on_failure": {"fallback": "team.helper"}}
        assert (await tasks.run([falls_back])).type == "completed"
        end = await tasks.run([falls_back])
    assert (end.type, models.count("writer")) == ("completed", 1)
    assert "BreakerOpen" in end.details["degraded"]["writer"]


async def test_a_limit_of_tasks_refuses_the_next_one_or_holds_it_up(limited: Limited, effects: Desk) -> None:
    async with limited(ONE_TASK) as (tasks, _):
        assert (await tasks.run([FIRST])).type == "completed"
        end = await tasks.run([FIRST])
        assert end.type == "LimitReached"
        handle = await tasks.start([FIRST], on_limit="wait")
        await until_state(handle, "waiting")
        await handle.cancel()
        assert (await end_of(handle)).type == "cancelled"
    assert effects.what("done") == ["first"]


async def test_a_task_that_is_held_up_is_found_by_its_state_and_its_name(
    limited: Limited, effects: Desk
) -> None:
    async with limited(ONE_TASK) as (tasks, _):
        assert (await tasks.run([FIRST])).type == "completed"
        handle = await tasks.start([FIRST], on_limit="wait")
        board = await until_state(handle, "waiting")
        assert "tasks_a_day" in str(board["log"])
        assert await attributes_of(handle) == {"SagaState": "waiting", "SagaTask": "test"}
        await handle.cancel()
        assert (await end_of(handle)).type == "cancelled"
        assert (await attributes_of(handle))["SagaState"] == "cancelled"
    assert effects.what("done") == ["first"]


async def test_the_deadline_of_a_task_passes_while_a_limit_holds_it_up(
    limited: Limited, effects: Desk
) -> None:
    async with limited(ONE_TASK) as (tasks, _):
        assert (await tasks.run([FIRST])).type == "completed"
        handle = await tasks.start([FIRST], on_limit="wait", deadline="2s")
        end = await end_of(handle)
        assert (end.type, (await attributes_of(handle))["SagaState"]) == ("DeadlineExceeded", "rolled_back")
    assert end.message == (
        "the deadline of 2s has passed, and nothing has begun: "
        "the limit tasks_a_day lets no more tasks begin for now"
    )
    assert effects.what("done") == ["first"]


async def test_the_time_that_a_task_was_held_up_counts_towards_its_deadline(
    limited: Limited, effects: Desk
) -> None:
    async with limited("limits: [{name: tasks, tasks: 1, per: 5s}]") as (tasks, _):
        # More than begin in the two windows that they may be started in.
        handles = [await tasks.start([FIRST], on_limit="wait", deadline="1h") for _ in range(3)]
        assert {(await end_of(handle)).type for handle in handles} == {"completed"}
        timers = [await timers_of(handle) for handle in handles]
    held_up = [(sum(waits, timedelta()), deadline) for *waits, deadline in timers if waits]
    assert held_up
    for waited, deadline in held_up:
        assert deadline <= timedelta(hours=1) - waited


async def timers_of(handle: WorkflowHandle[Any, Any]) -> list[timedelta]:
    """How long the timers of a task were to run, in order."""
    started = [event.timer_started_event_attributes for event in await events_of(handle)]
    return [timer.start_to_fire_timeout.ToTimedelta() for timer in started if timer.timer_id]


async def attributes_of(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    """The search attributes of a task that tell its name and its state."""
    pairs = (await handle.describe()).typed_search_attributes.search_attributes
    return {pair.key.name: pair.value for pair in pairs if pair.key.name in ("SagaState", "SagaTask")}
