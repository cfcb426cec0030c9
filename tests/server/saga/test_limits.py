"""G13: no payload of ours is ever refused by the server. G20: what a task costs in history events."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHandle

from counterstep.saga.limits.payload_size import MAX_PAYLOAD
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of

ONCE = {"attempts": 1}
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED


def put(step: str, *needs: str, **arguments: Any) -> dict[str, Any]:
    return {"id": step, "needs": list(needs), "tool": "desk.put", "input": {"what": step, **arguments}}


async def test_a_result_that_is_too_large_fails_once_and_is_undone(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([put("a"), put("big", "a", size=1_200_000)])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "PayloadTooLarge"
    assert effects.what("done") == ["a", "big"], "the effect is not repeated"
    assert effects.effects() == {}


async def test_a_result_that_cannot_be_read_is_undone(tasks: Tasks, effects: Desk) -> None:
    step = {"id": "deep", "tool": "desk.put_deep", "input": {"what": "deep", "depth": 240}}
    end = await tasks.run([step])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "InvalidOutput"
    assert effects.what("done", "undone") == ["deep", "deep"]
    assert effects.effects() == {}


async def test_input_and_output_together_leave_room_for_the_undo(tasks: Tasks, effects: Desk) -> None:
    text = "x" * 300_000
    end = await tasks.run(
        [{"id": "both", "tool": "desk.put", "input": {"what": "${{ task.text }}", "size": 600_000}}],
        {"text": text},
    )
    assert end.failure["type"] == "PayloadTooLarge"
    assert effects.effects() == {}
    end = await tasks.run(
        [{"id": "both", "tool": "desk.put", "input": {"what": "${{ task.text }}", "size": 100_000}}],
        {"text": text},
    )
    assert end.type == "completed", "under the limit it passes"


async def test_an_input_that_is_too_large_never_starts(tasks: Tasks, effects: Desk) -> None:
    look = {
        "id": "big",
        "needs": ["a"],
        "tool": "desk.look",
        "input": {"what": "${{ task.text + task.text }}"},
    }
    end = await tasks.run([put("a"), look], {"text": "x" * 700_000})
    assert end.failure["type"] == "PayloadTooLarge"
    assert effects.what("look") == []
    assert effects.effects() == {}


async def test_an_output_of_the_task_that_is_too_large_is_undone(tasks: Tasks, effects: Desk) -> None:
    output = {"all": "${{ task.text + task.text }}"}
    end = await tasks.run([put("a")], {"text": "x" * 700_000}, output=output)
    assert end.failure["type"] == "PayloadTooLarge"
    assert effects.effects() == {}


async def test_a_huge_error_message_is_cut(tasks: Tasks, effects: Desk) -> None:
    step = {**put("a", what="y" * 300_000, fail="final"), "retry": ONCE}
    end = await tasks.run([step])
    assert end.type == "SagaRolledBack"
    assert len(end.message) < 3000
    assert effects.effects() == {}


async def test_many_large_calls_at_once_do_not_overflow_one_message(tasks: Tasks, effects: Desk) -> None:
    steps = [
        {"id": f"s{n}", "tool": "desk.look", "input": {"what": "${{ task.text }}"}, "retry": ONCE}
        for n in range(8)
    ]
    handle = await tasks.start(steps, {"text": "x" * 900_000}, output={"n": "${{ steps.s7.output.count }}"})
    assert (await end_of(handle)).type == "completed"
    assert MAX_PAYLOAD < 2**20
    timers = [event async for event in handle.fetch_history_events() if event.event_type == TIMER_STARTED]
    assert len(timers) <= 3, "two fit into one message; those behind them wait in turn, and share a timer"


async def count(handle: WorkflowHandle[Any, Any]) -> int:
    return len([event async for event in handle.fetch_history_events()])


@pytest.mark.parametrize("fails", [False, True])
async def test_a_task_costs_four_events_more_than_a_saga_by_hand(
    tasks: Tasks, effects: Desk, fails: bool
) -> None:
    names = ["a", "b", "c", "d", "e"]
    steps = [
        {
            **put(name, *names[max(0, i - 1) : i], fail="not_applied" if fails and name == "e" else ""),
            "retry": ONCE,
        }
        for i, name in enumerate(names)
    ]
    by_hand = await tasks.start_workflow("SagaByHand", fails)
    ours = await tasks.start(steps)
    in_python = await tasks.start_workflow("FiveSteps", fails)
    checked = await tasks.start([{**step, "validate": [{"rule": "output.what != ''"}]} for step in steps])
    with contextlib.suppress(WorkflowFailureError):
        await by_hand.result()
    for handle in (ours, in_python, checked):
        assert (await end_of(handle)).type == ("SagaRolledBack" if fails else "completed")
    baseline = await count(by_hand)
    assert await count(ours) <= baseline + 4
    assert await count(in_python) <= baseline + 4
    assert await count(checked) <= baseline + 4 + len(names)
