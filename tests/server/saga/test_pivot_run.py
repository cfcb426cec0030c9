"""G14: before the pivot everything can be undone; past it nothing is, and the task ends completed or asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_state, until_step
from counterstep.tests.support.tasks.work import act, put, step
from counterstep.tests.support.tasks.workers import errand_worker


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    """A worker with sagas of its own as well."""
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


def pivot(*needs: str, tool: str = "hand_over", **arguments: Any) -> dict[str, Any]:
    return step("p", f"desk.{tool}", *needs, **arguments)


def after(*needs: str, **arguments: Any) -> dict[str, Any]:
    return step("r", "desk.announce", *needs, **arguments)


async def test_a_pivot_starts_when_everything_else_has_settled(tasks: Tasks, effects: Desk) -> None:
    aside = step("aside", "desk.announce", late=HELD)
    handle = await tasks.start([put("a"), aside, pivot("a"), step("later", "desk.announce", "a")])
    await effects.until("done", "aside")
    await effects.until("done", "a")
    board = await handle.query("board")
    assert board["steps"]["p"]["state"] == "pending", "it would be ready, and waits"
    effects.release("aside")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("begin")[-2:] == ["p", "later"] or effects.what("begin")[-1] == "p"


async def test_a_pivot_that_certainly_was_not_applied_fails_like_any_step(
    tasks: Tasks, effects: Desk
) -> None:
    end = await tasks.run([put("a"), pivot("a", fail="not_applied"), after("p")])
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "NotApplied")
    assert effects.effects() == {}


async def test_an_unknown_outcome_needs_attention_and_applied_goes_on(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(
        [put("a"), pivot("a", fail="after"), after("p")], output="${{ steps.p.output.what }}"
    )
    board = await until_state(handle, "needs_attention")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"], asked["update"]) == ("p", "pivot", "resolve")
    assert asked["actions"] == ["applied", "not_applied"]
    why = await refusal_of(handle, "resolve", step="p", action="applied", value={"key": "k"})
    assert "'what'" in why, why
    assert "'p' takes applied, not_applied" in await refusal_of(handle, "resolve", step="p", action="retry")
    await tell(handle, "resolve", step="p", action="applied", value={"what": "seen", "key": "k"})
    end = await end_of(handle)
    assert (end.type, end.output) == ("completed", "seen")
    assert effects.what("begin").count("p") == 1, "it is not repeated"
    assert effects.what("undo") == []


async def test_an_unknown_outcome_that_was_not_applied_is_rolled_back(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), pivot("a", fail="before")])
    await until_state(handle, "needs_attention")
    await handle.cancel()
    await tell(handle, "resolve", step="p", action="not_applied")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}


async def test_an_idempotent_pivot_is_repeated_under_its_key(tasks: Tasks, effects: Desk) -> None:
    again = {**pivot("a", tool="hand_over_again", fail="once"), "retry": {"attempts": 3, "initial": "50ms"}}
    assert (await tasks.run([put("a"), again])).type == "completed"
    begun = [event for event in effects.events("begin") if event.what == "p"]
    assert [event.attempt for event in begun] == [1, 2]
    assert len({event.key for event in begun}) == 1


@pytest.mark.parametrize("when", ["while it runs", "after it"])
async def test_a_cancel_past_the_pivot_is_only_recorded(tasks: Tasks, effects: Desk, when: str) -> None:
    first, second = (HELD, 0) if when == "while it runs" else (0, HELD)
    handle = await tasks.start([put("a"), pivot("a", late=first), after("p", late=second)])
    await effects.until("done", "p" if when == "while it runs" else "r")
    await handle.cancel()
    effects.release("p", "r")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "p", "r"]
    if when == "after it":
        log = (await handle.query("board"))["log"]
        assert [line["why"] for line in log if line["what"].startswith("too late")] == [
            "the task was cancelled"
        ]


async def test_a_deadline_past_the_pivot_is_only_recorded(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), pivot("a"), after("p", delay=1)], deadline="700ms")
    end = await end_of(handle)
    if effects.what("done").count("p"):
        assert end.type == "completed"
        assert sorted(effects.effects()) == ["a", "p", "r"]
    else:
        assert end.type == "SagaRolledBack", "a slow machine: the deadline came before the pivot"


async def test_a_retriable_step_that_fails_past_the_pivot_asks_a_person(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), pivot("a"), after("p", fail="first")])
    board = await until_state(handle, "waiting")
    assert board["waiting_for"][0]["actions"] == ["retry", "skip", "supply"], "nothing can be rolled back"
    await tell(handle, "decide", step="r", action="retry")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "p", "r"]
    assert effects.what("undo") == []


@pytest.mark.parametrize("where", ["step", "task"])
async def test_validators_speak_before_the_pivot(tasks: Tasks, effects: Desk, where: str) -> None:
    own = {"validate": [{"rule": "input.what != 'p'", "message": "not that"}]} if where == "step" else {}
    whole = {"validate": [{"rule": "output.a != 'a'", "message": "not that"}]} if where == "task" else {}
    output = {"a": "${{ steps.a.output.what }}", "p": "${{ steps.p.output.what }}"}
    end = await tasks.run([put("a"), {**pivot("a"), **own}], output=output, **whole)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    assert effects.what("begin") == ["a"]
    assert effects.effects() == {}


async def test_amend_cannot_reach_behind_the_pivot(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), pivot("a"), after("p", delay=HELD)])
    await effects.until("begin", "r")
    why = await refusal_of(handle, "amend", invalidates=["a"])
    assert "a, p: past the point of no return nothing is undone any more" in why
    assert await tell(handle, "amend", invalidates=["r"]) == {"affected": ["r"]}
    effects.release("r")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("begin").count("r") == 2


async def test_a_pivot_inside_a_group(tasks: Tasks, effects: Desk) -> None:
    group = {"id": "g", "needs": ["a"], "group": {"steps": [put("x"), pivot("x"), after("p", fail="first")]}}
    handle = await tasks.start([put("a"), group])
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="r", action="skip")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "p", "x"]


# --- in a workflow of one's own


async def test_a_saga_past_its_pivot(tasks: Tasks, effects: Desk) -> None:
    acts = [act("put", "a"), act("hand_over", "p"), act("announce", "r", late=HELD)]
    handle = await tasks.start_workflow("Errand", acts)
    await effects.until("done", "r")
    await handle.cancel()
    effects.release("r")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "p", "r"]


async def test_a_saga_with_a_bug_past_its_pivot_says_what_stands(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start_workflow("Errand", [act("put", "a"), act("hand_over", "p"), {"fail": "a bug"}])
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRollbackIncomplete", "ValueError")
    assert end.details["not_undone"] == ["put"]
    assert sorted(effects.effects()) == ["a", "p"]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (act("put", "z"), "'put_2' can be undone, and the pivot 'hand_over' comes before it"),
        (act("hand_over", "q"), "'hand_over' is the pivot already; a saga has one"),
    ],
)
async def test_a_saga_refuses_what_cannot_come_after(
    tasks: Tasks, effects: Desk, last: dict[str, Any], why: str
) -> None:
    handle = await tasks.start_workflow("Errand", [act("put", "a"), act("hand_over", "p"), last])
    end = await end_of(handle)
    assert why in end.failure["message"]
    assert sorted(effects.effects()) == ["a", "p"]


async def test_a_saga_whose_pivot_is_unknown_asks(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start_workflow("Errand", [act("put", "a"), act("hand_over", "p", fail="after")])
    await until_state(handle, "needs_attention")
    await tell(handle, "resolve", step="hand_over", action="not_applied")
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert list(effects.effects()) == ["p"], "the person was wrong; nobody undoes a pivot"


# --- where a pivot meets what goes back


async def test_amend_while_the_pivot_runs_comes_too_late(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), pivot("a", late=HELD), after("p")])
    await effects.until("done", "p")
    await tell(handle, "amend", invalidates=["a"])
    effects.release("p")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("begin") == ["a", "p", "r"]


async def test_a_group_with_an_applied_pivot_is_not_done_again(tasks: Tasks, effects: Desk) -> None:
    group = {
        "id": "g",
        "needs": ["a"],
        "group": {"steps": [pivot(), after("p")]},
        "validate": [{"rule": "output.r.what == 'zzz'", "message": "no"}],
    }
    handle = await tasks.start([put("a"), group])
    board = await until_state(handle, "waiting")
    assert board["waiting_for"][0]["actions"] == ["skip", "supply"]
    await tell(handle, "decide", step="g", action="skip")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("begin").count("p") == 1


async def test_an_output_that_cannot_be_told_past_the_pivot_asks_a_person(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await tasks.start([pivot()], output={"x": "${{ steps.p.output.what + facts.x }}"})
    board = await until_state(handle, "waiting")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"], asked["actions"]) == ("task", "output", ["retry", "supply"])
    await tell(handle, "decide", step="task", action="retry")
    await until_state(handle, "waiting")
    await tell(handle, "amend", facts={"x": "7"})
    await tell(handle, "decide", step="task", action="retry")
    assert (await end_of(handle)).output == {"x": "p7"}
    assert list(effects.effects()) == ["p"]


@pytest.mark.parametrize(
    "broken",
    [
        {"when": "facts.late"},
        {"for_each": "facts.late"},
        {"for_each": "[1]", "when": "facts.late && item > 0"},
        {"input": {"what": "${{ facts.late }}"}},
        {"tool": "${{ facts.late }}", "one_of": ["desk.announce"]},
    ],
    ids=["when", "for_each", "when of an item", "input", "tool"],
)
async def test_what_fails_past_the_pivot_asks_a_person(
    tasks: Tasks, effects: Desk, broken: dict[str, Any]
) -> None:
    handle = await tasks.start([pivot(), {**after("p"), **broken}])
    board = await until_state(handle, "waiting")
    (asked,) = board["waiting_for"]
    if broken.get("for_each") == "facts.late":
        assert asked["actions"] == ["retry", "skip"], "nobody knows of how many items the output is"
        await tell(handle, "decide", step="r", action="skip")
    else:
        assert asked["actions"] == ["retry", "skip", "supply"]
        supplied = {"what": "x", "key": "k"}
        await tell(handle, "decide", step=asked["step"], action="supply", value=supplied)
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["p"]


async def test_a_fallback_that_fails_past_the_pivot_asks_a_person(tasks: Tasks, effects: Desk) -> None:
    think = {
        "id": "r",
        "needs": ["p"],
        "agent": "desk.thinker",
        "input": {"text": "t", "fail": "yes"},
        "on_failure": {"fallback": "desk.thinker"},
    }
    handle = await tasks.start([pivot(), think])
    await until_state(handle, "waiting")
    assert effects.what("think") == ["t", "t"]
    await tell(handle, "decide", step="r", action="skip")
    assert (await end_of(handle)).type == "completed"


async def test_amend_restarts_a_wait_past_the_pivot(tasks: Tasks, effects: Desk) -> None:
    wait = {"id": "w", "needs": ["p"], "wait": {"event": "${{ has(facts.e) ? facts.e : 'old' }}"}}
    handle = await tasks.start([put("a"), pivot("a"), wait])
    await until_step(handle, "w", "waiting")
    await tell(handle, "amend", facts={"e": "new"})
    await handle.signal("event", {"name": "new"})
    assert (await end_of(handle)).type == "completed"


async def test_a_pivot_that_was_given_up_is_not_applied_later(tasks: Tasks, effects: Desk) -> None:
    both = {"gather": [act("put", "slow", late=HELD), act("hand_over", "p")]}
    handle = await tasks.start_workflow("Errand", [{"within": 1, "do": both}, act("announce", "r")])
    await effects.until("done", "r")
    effects.release("slow")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["r"]
