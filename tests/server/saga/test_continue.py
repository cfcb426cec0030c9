"""G13: a history near its limit continues as new, and nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep.saga.engine import continue_as_new
from counterstep.saga.limits import history_size
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state
from counterstep.tests.support.tasks.work import put, step


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories count as long after a few steps."""
    monkeypatch.setattr(history_size, "LONG_EVENTS", 40)


def chain(*names: str, **last: Any) -> list[dict[str, Any]]:
    steps = [put(name, *names[max(0, at - 1) : at]) for at, name in enumerate(names)]
    steps[-1]["input"].update(last)
    return steps


async def runs_of(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> int:
    found = [run async for run in tasks.client.list_workflows(f'WorkflowId = "{handle.id}"')]
    return len(found)


async def board_of(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    board: dict[str, Any] = await tasks.client.get_workflow_handle(handle.id).query("board")
    return board


def newest(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> WorkflowHandle[Any, Any]:
    return tasks.client.get_workflow_handle(handle.id)


ALPHABET = "abcdefghijkl"


async def test_a_long_task_completes_over_several_runs(tasks: Tasks, effects: Desk) -> None:
    output = {"first": "${{ steps.a.output.what }}", "last": "${{ steps.l.output.what }}"}
    handle = await tasks.start(chain(*ALPHABET), output=output)
    end = await end_of(handle)
    assert end.output == {"first": "a", "last": "l"}
    assert await runs_of(tasks, handle) >= 2
    assert effects.what("begin") == list(ALPHABET), "each call was made once"
    board = await board_of(tasks, handle)
    assert {step["state"] for step in board["steps"].values()} == {"completed"}
    numbers = [line["n"] for line in board["log"]]
    assert numbers == sorted(set(numbers)), "the log goes on"
    length = (await newest(tasks, handle).describe()).history_length
    assert length < 120


async def test_a_late_failure_undoes_what_earlier_runs_did(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(chain(*ALPHABET, fail="final"))
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert await runs_of(tasks, handle) >= 2
    assert effects.what("undone") == list(reversed(ALPHABET))
    assert end.details["undone"] == list(reversed(ALPHABET))
    assert effects.effects() == {}
    assert {e.key for e in effects.events("undone")} == {e.key for e in effects.events("done")}


async def test_a_registered_task_continues_with_its_ledger_on_pages(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continue_as_new, "MAX_PAYLOAD", 9_000)
    handle = await tasks.start_workflow("desk.long", {"n": 12})
    end = await end_of(handle)
    assert end.output == {"count": 12}
    assert await runs_of(tasks, handle) == 2, "the items of one step stay together"
    assert len(effects.effects()) == 15


async def test_a_cancel_in_a_later_run(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(chain(*ALPHABET, late=HELD))
    await effects.until("done", "l")
    await newest(tasks, handle).cancel()
    effects.release("l")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.what("undone") == list(reversed(ALPHABET))


async def test_facts_rounds_and_feedback_travel_along(tasks: Tasks, effects: Desk) -> None:
    steps = chain(*ALPHABET, late=HELD)
    steps[1]["input"]["what"] = "${{ has(facts.b) ? facts.b : 'b' }}"
    steps[2]["input"]["fail"] = "first"
    steps[2]["on_failure"] = {"retry_from": "c"}
    handle = await tasks.start(steps)
    await effects.until("done", "l")
    assert effects.what("begin").count("c") == 2
    assert (await board_of(tasks, handle))["steps"]["c"]["attempts"] == 2
    answer = await tell(newest(tasks, handle), "amend", facts={"b": "better"})
    assert answer == {"affected": list(ALPHABET[1:])}
    effects.release("l")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == sorted([*(set(ALPHABET) - {"b"}), "better"])
    keys = [event.key for event in effects.events("done")]
    assert len(keys) == len(set(keys)), "rounds go on counting"


async def test_a_person_may_be_asked_in_a_later_run(tasks: Tasks, effects: Desk) -> None:
    steps = chain(*ALPHABET, fail="first")
    steps[-1]["on_failure"] = "escalate"
    handle = await tasks.start(steps)
    await effects.until("undone", "l")
    last = newest(tasks, handle)
    await until_state(last, "waiting")
    await tell(last, "decide", step="l", action="retry")
    assert (await end_of(handle)).type == "completed"


@pytest.mark.long
async def test_the_deadline_of_the_first_run_counts(tasks: Tasks, effects: Desk) -> None:
    look = {"id": "look", "needs": ["l"], "tool": "desk.look", "input": {"what": "x", "delay": 20}}
    handle = await tasks.start([*chain(*ALPHABET), {**look, "timeout": "90s"}], deadline="10s")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "DeadlineExceeded")
    assert await runs_of(tasks, handle) >= 2
    assert effects.effects() == {}


async def test_what_is_too_large_to_continue_goes_on_in_its_history(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continue_as_new, "MAX_PAYLOAD", 1000)
    handle = await tasks.start(chain(*ALPHABET))
    assert (await end_of(handle)).type == "completed"
    assert await runs_of(tasks, handle) == 1


async def test_a_full_history_ends_typed_and_undone(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_size, "LONG_EVENTS", 10_000)
    monkeypatch.setattr(history_size, "FULL_EVENTS", 40)
    end = await tasks.run(chain(*ALPHABET))
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "HistoryFull")
    assert effects.effects() == {}


async def test_nobody_can_start_a_task_in_the_middle(tasks: Tasks, effects: Desk) -> None:
    forged = {"carried": 1, "snapshot": {"task": "x"}, "steps": {}, "usage": {}, "log": [], "lines": 0}
    for argument in (forged, [forged]):
        end = await end_of(await tasks.start_workflow("AgentTask", argument))
        assert end.type == "InvalidInput"
    end = await end_of(await tasks.start_workflow("desk.tidy", [forged]))
    assert end.type == "InvalidInput"


async def test_a_cancel_past_the_pivot_in_a_later_run(tasks: Tasks, effects: Desk) -> None:
    told = [
        step(f"r{i}", "desk.announce", f"r{i - 1}" if i else "p", late=HELD if i == 9 else 0)
        for i in range(10)
    ]
    handle = await tasks.start([put("a"), step("p", "desk.hand_over", "a"), *told])
    await effects.until("done", "r9")
    assert await runs_of(tasks, handle) >= 2
    await newest(tasks, handle).cancel()
    effects.release("r9")
    assert (await end_of(handle)).type == "completed"
