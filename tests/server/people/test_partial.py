"""G16: going back a part of the way undoes exactly the affected steps, and goes forward again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import RawValue, WorkflowIDConflictPolicy
from temporalio.service import RPCError

from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, refusal_of, tell, until_asked, until_state
from counterstep.tests.support.tasks.work import put, step


def happened(effects: Desk) -> list[str]:
    return [f"{event.action} {event.what}" for event in effects.events("done", "undone")]


def thought(id_: str, *needs: str, text: str, **keys: Any) -> dict[str, Any]:
    return {"id": id_, "needs": list(needs), "agent": "desk.thinker", "input": {"text": text}, **keys}


# --- retry_from


async def test_retry_from_goes_back_to_a_step_and_forward_again(tasks: Tasks, effects: Desk) -> None:
    again = {**put("c", "b", fail="first"), "on_failure": {"retry_from": "b"}}
    steps = [put("a"), put("b", "a"), put("aside", "a"), again, put("d", "c", "aside")]
    end = await tasks.run(steps)
    assert end.type == "completed"
    events = happened(effects)
    assert events.count("done a") == events.count("done aside") == 1, "what is not affected is not repeated"
    assert [event for event in events if not event.endswith(("a", "aside"))] == [
        "done b", "undone c", "undone b", "done b", "done c", "done d",
    ]  # fmt: skip
    assert sorted(effects.effects()) == ["a", "aside", "b", "c", "d"]
    keys = {event.key for event in effects.events("begin") if event.what == "b"}
    assert len(keys) == 2, "a re-run is a call of its own"


async def test_rounds_are_counted_and_then_the_last_resort_follows(tasks: Tasks, effects: Desk) -> None:
    again = {
        **put("b", "a", fail="before"),
        "on_failure": {"retry_from": "b", "rounds": 2, "then": "skip"},
    }
    end = await tasks.run([put("a"), again, put("c", "b")])
    assert end.type == "completed"
    assert effects.what("begin") == ["a", "b", "b", "b", "c"]
    assert sorted(effects.effects()) == ["a", "c"]


async def test_without_a_last_resort_the_task_is_rolled_back(tasks: Tasks, effects: Desk) -> None:
    again = {**put("b", "a", fail="after"), "on_failure": {"retry_from": "a"}}
    end = await tasks.run([put("a"), again])
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    assert effects.what("begin") == ["a", "b"] * 2
    assert effects.effects() == {}


async def test_the_steps_that_run_again_see_the_feedback(tasks: Tasks, effects: Desk) -> None:
    text = (
        "${{ size(feedback) == 0 ? 'first' : feedback[0].step + ': ' + feedback[0].verdicts[0].reasons[0] }}"
    )
    steps = [
        thought("draft", text=text),
        thought(
            "check",
            text="${{ steps.draft.output.text }}",
            validate=[{"rule": "output.text != 'first'", "message": "too short"}],
            on_reject={"retry_from": "draft"},
        ),
    ]
    end = await tasks.run(steps, output="${{ steps.check.output.text }}")
    assert end.output == "check: too short"


async def test_a_failing_group_is_done_again_as_a_whole(tasks: Tasks, effects: Desk) -> None:
    group = {
        "id": "g",
        "needs": ["a"],
        "group": {"steps": [put("x"), put("y", "x", fail="first")]},
        "on_failure": {"retry_from": "g"},
    }
    end = await tasks.run([put("a"), group, put("z", "g")])
    assert end.type == "completed"
    assert happened(effects) == ["done a", "done x", "undone y", "undone x", "done x", "done y", "done z"]


async def test_inside_a_group_only_a_part_of_it_is_done_again(tasks: Tasks, effects: Desk) -> None:
    inner = [put("x"), {**put("y", "x", fail="first"), "on_failure": {"retry_from": "y"}}]
    end = await tasks.run([{"id": "g", "group": {"steps": inner}}, put("z", "g")])
    assert end.type == "completed"
    assert happened(effects) == ["done x", "undone y", "done y", "done z"]


async def test_running_steps_that_depend_are_stopped_first(tasks: Tasks, effects: Desk) -> None:
    failing = {**put("b", "a", fail="first"), "on_failure": {"retry_from": "a"}}
    steps = [put("a"), failing, put("slow", "a", delay=HELD), put("end", "b", "slow")]
    handle = await tasks.start(steps)
    await effects.until("undone", "b")
    await effects.until("begin", "slow")
    effects.release("slow")
    end = await end_of(handle)
    assert end.type == "completed"
    events = happened(effects)
    assert events.index("done slow") < events.index("undone slow") < events.index("undone a")
    assert sorted(effects.effects()) == ["a", "b", "end", "slow"]


# --- amend


def trip() -> list[dict[str, Any]]:
    return [
        put("flight"),
        {**step("hotel", "desk.put", "flight"), "when": "!has(facts.late) || facts.late < 5"},
        put("taxi", "hotel"),
        put("museum", "flight"),
        step("dinner", "desk.put", "taxi", "museum", delay=HELD),
    ]


async def test_a_fact_that_comes_while_the_task_is_judged_is_in_its_output(
    tasks: Tasks, effects: Desk
) -> None:
    output = {"plan": "${{ has(facts.plan) ? facts.plan : 'old' }}"}
    handle = await tasks.start([put("a")], output=output, validate=[{"check": "desk.ponder"}])
    await effects.until("ponder", "ponder")
    assert await tell(handle, "amend", facts={"plan": "new"}) == {"affected": []}
    effects.release("ponder")
    assert (await end_of(handle)).output == {"plan": "new"}
    assert effects.what("ponder") == ["ponder", "ponder"], "what was judged is what is returned"


def starting(tasks: Tasks, spec: Mapping[str, Any]) -> WithStartWorkflowOperation[Any, Any]:
    return WithStartWorkflowOperation(
        "AgentTask",
        {"spec": spec, "input": {}},
        id=f"test-{uuid4()}",
        task_queue=tasks.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )


async def test_an_update_that_comes_with_the_start_and_cannot_be_read_is_refused(
    tasks: Tasks, effects: Desk
) -> None:
    start = starting(tasks, {"name": "test", "steps": [put("a")]})
    garbage = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{bad"))
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await tasks.client.execute_update_with_start_workflow(
            "amend", garbage, start_workflow_operation=start
        )
    assert "the argument cannot be read" in str(caught.value.cause)
    assert (await end_of(await start.workflow_handle())).type == "completed"


async def test_an_update_that_comes_with_the_start_is_answered(tasks: Tasks, effects: Desk) -> None:
    spec = {"name": "test", "steps": [put("a", delay=HELD)], "output": "${{ facts.plan }}"}
    start = starting(tasks, spec)
    facts = {"facts": {"plan": "new"}, "by": "ann"}
    answer = await tasks.client.execute_update_with_start_workflow(
        "amend", facts, start_workflow_operation=start
    )
    assert answer == {"affected": []}
    handle = await start.workflow_handle()
    why = await refusal_of(handle, "amned", facts={})
    assert why == "a task has no update 'amned'; did you mean 'amend'?"
    effects.release("a")
    assert (await end_of(handle)).output == "new"


async def test_amend_undoes_exactly_what_reads_the_fact_and_what_depends_on_it(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await tasks.start(trip())
    await effects.until("begin", "dinner")
    answer = await tell(handle, "amend", facts={"late": 2}, note="the flight is late")
    effects.release("dinner")
    assert answer == {"affected": ["hotel", "taxi", "dinner"]}
    assert (await end_of(handle)).type == "completed"
    events = happened(effects)
    assert [event for event in events if event.startswith("undone")] == [
        "undone dinner", "undone taxi", "undone hotel",
    ]  # fmt: skip
    for what in ("flight", "museum"):
        assert effects.what("begin").count(what) == 1, "a finished step that is not affected is not repeated"
    assert effects.what("begin").count("hotel") == 2
    reasons = {json.loads(event.note)["reason"] for event in effects.events("undo")}
    assert reasons == {"failed: Amended: the flight is late"}
    assert sorted(effects.effects()) == ["dinner", "flight", "hotel", "museum", "taxi"]


async def test_a_fact_that_nobody_reads_undoes_nothing(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(trip())
    await effects.until("begin", "dinner")
    assert await tell(handle, "amend", facts={"weather": "rain"}) == {"affected": []}
    await tell(handle, "amend", facts={"late": 1})
    effects.release("dinner")
    await effects.until("undone", "hotel")
    assert await tell(handle, "amend", facts={"late": 1}) == {"affected": []}, "it is not news"
    assert (await end_of(handle)).type == "completed"
    assert effects.what("undone") == ["dinner", "taxi", "hotel"]


async def test_a_named_step_is_invalid_whatever_it_reads(tasks: Tasks, effects: Desk) -> None:
    group = {"id": "g", "group": {"steps": [put("x"), put("y", "x")]}}
    handle = await tasks.start([group, put("b", "g"), put("c"), put("d", "b", "c", delay=HELD)])
    await effects.until("begin", "d")
    answer = await tell(handle, "amend", invalidates=["y"], note="y has broken")
    assert answer == {"affected": ["g", "b", "d"]}, "a group is undone as one"
    effects.release("d")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("undone") == ["d", "b", "y", "x"]
    assert sorted(effects.effects()) == ["b", "c", "d", "x", "y"]


async def test_facts_that_come_first_are_simply_there(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a", delay=HELD), {**put("b", "a", what="${{ facts.who }}")}])
    await effects.until("begin", "a")
    assert await tell(handle, "amend", facts={"who": "ann"}) == {"affected": []}
    effects.release("a")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["a", "ann"]


async def test_true_is_news_after_one_and_one_point_nought_is_not(tasks: Tasks, effects: Desk) -> None:
    what = "${{ has(facts.n) && facts.n == 1 ? 'one' : 'other' }}"
    handle = await tasks.start(
        [put("a", delay=HELD), {**put("b", "a", what=what)}, put("c", "b", delay=HELD)]
    )
    await effects.until("begin", "a")
    assert await tell(handle, "amend", facts={"n": 1}) == {"affected": []}
    effects.release("a")
    await effects.until("begin", "c")
    assert await tell(handle, "amend", facts={"n": 1.0}) == {"affected": []}
    assert await tell(handle, "amend", facts={"n": True}) == {"affected": ["b", "c"]}
    effects.release("c")
    assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "c", "other"]
    assert effects.what("undone") == ["c", "one"]


async def test_amendments_one_after_the_other(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(trip())
    await effects.until("begin", "dinner")
    answers = [await tell(handle, "amend", facts={"late": late}) for late in (1, 2, 7)]
    answers.append(await tell(handle, "amend", invalidates=["museum"]))
    assert all("dinner" in answer["affected"] for answer in answers)
    effects.release("dinner")
    end = await end_of(handle)
    assert end.type == "completed"
    assert sorted(effects.effects()) == ["dinner", "flight", "museum", "taxi"], "7 hours: no hotel"
    undone = [event.key for event in effects.events("undone")]
    assert len(undone) == len(set(undone))


async def test_a_step_that_an_amendment_doubts_while_another_is_undone_waits_for_both(
    tasks: Tasks, effects: Desk
) -> None:
    steps = [put("hotel", undo_delay=HELD), put("museum", undo_delay=HELD), put("dinner", "hotel", "museum")]
    handle = await tasks.start([*steps, put("end", "dinner", delay=HELD)])
    await effects.until("begin", "end")
    effects.release("end")
    await tell(handle, "amend", invalidates=["hotel"])
    await effects.until("undo", "hotel")
    await tell(handle, "amend", invalidates=["museum"])
    effects.release("undo hotel")
    await effects.until("undo", "museum")
    await effects.until("undone", "hotel")
    await asyncio.sleep(2)  # time to do the hotel again, and to begin dinner too early
    assert effects.what("done").count("hotel") == 2
    effects.release("undo museum")
    end = await end_of(handle)
    assert end.type == "completed", end
    assert effects.what("begin").count("dinner") == 2, "it was begun again once, when both stood again"
    assert sorted(effects.effects()) == ["dinner", "end", "hotel", "museum"]


async def test_amend_while_the_task_goes_back_is_refused(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a", undo_delay=HELD), put("b", "a", fail="final")])
    await effects.until("undo", "a")
    why = await refusal_of(handle, "amend", facts={"late": 1})
    assert "the task takes no new facts any more: it is being rolled back" in why
    effects.release("undo a")
    assert (await end_of(handle)).type == "SagaRolledBack"


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({}, "say what has changed"),
        ({"facts": {"late": 1}, "by": " "}, "by: String should have at least 1 character"),
        ({"facts": {"is late": 1}}, "'is late' cannot be read as facts.NAME"),
        ({"facts": {"late": "x" * 100_000}}, "the most is 100000"),
        ({"invalidates": ["hotle"]}, "there is no step 'hotle'; did you mean 'hotel'?"),
        ({"facts": {"late": 1}, "steps": []}, "steps: Extra inputs are not permitted"),
    ],
)
async def test_nonsense_is_refused(tasks: Tasks, effects: Desk, message: dict[str, Any], why: str) -> None:
    handle = await tasks.start([put("a"), put("hotel", "a", delay=HELD)])
    await effects.until("begin", "hotel")
    assert why in await refusal_of(handle, "amend", **message)
    await handle.terminate()


async def test_an_ended_task_takes_nothing(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a")])
    await end_of(handle)
    with pytest.raises((WorkflowUpdateFailedError, RPCError), match="already completed"):
        await tell(handle, "amend", facts={"late": 1})


# --- preconditions


async def test_a_step_whose_precondition_is_false_does_not_act(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), {**put("b", "a"), "precondition": "steps.a.output.what == 'b'"}]
    end = await tasks.run(steps)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "PreconditionFailed")
    assert effects.what("begin") == ["a"]


async def test_a_precondition_sees_facts_that_have_just_come(tasks: Tasks, effects: Desk) -> None:
    drive = {**put("drive", "wait"), "precondition": "!has(facts.closed)", "on_failure": "skip"}
    handle = await tasks.start([put("wait", delay=HELD), drive, put("end", "drive")])
    await effects.until("begin", "wait")
    assert await tell(handle, "amend", facts={"closed": True}) == {"affected": []}
    effects.release("wait")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("begin") == ["wait", "end"]


# --- escalate


def asking(**more: Any) -> list[dict[str, Any]]:
    return [put("a"), {**put("b", "a", fail="first"), "on_failure": "escalate"}, put("c", "b", **more)]


async def test_escalate_undoes_the_step_and_asks(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(asking())
    board = await until_state(handle, "waiting")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"], asked["update"]) == ("b", "escalated", "decide")
    assert asked["actions"] == ["retry", "skip", "supply", "rollback"]
    assert "RuntimeError: b failed at first" in asked["ask"]
    assert board["steps"]["b"]["state"] == "waiting"
    assert effects.what("undone") == ["b"], "it is undone first"
    await tell(handle, "decide", step="b", action="retry")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["a", "b", "c"]


async def test_a_person_may_have_it_skipped(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([asking()[1] | {"needs": []}, put("c", "b")])
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="b", action="skip")
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["c"]


async def test_a_person_may_supply_the_output_which_is_checked(tasks: Tasks, effects: Desk) -> None:
    steps = [
        {**put("b", fail="before"), "on_failure": "escalate", "validate": [{"rule": "output.what != 'bad'"}]},
        put("c", "b", what="${{ steps.b.output.what }}"),
    ]
    handle = await tasks.start(steps)
    await until_state(handle, "waiting")
    why = await refusal_of(handle, "decide", step="b", action="supply", value={"what": 7})
    assert "what: 7 is not of type 'string'" in why, why
    await tell(handle, "decide", step="b", action="supply", value={"what": "bad", "key": "k"})
    await until_asked(handle, "b", "Rejected")
    await tell(handle, "decide", step="b", action="supply", value={"what": "good", "key": "k"})
    assert (await end_of(handle)).type == "completed"
    assert list(effects.effects()) == ["good"]


async def test_a_person_may_have_it_all_undone(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(asking())
    await until_state(handle, "waiting")
    await tell(handle, "decide", step="b", action="rollback", note="enough")
    end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    assert effects.effects() == {}


async def test_a_cancel_while_a_person_is_asked(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(asking())
    await until_state(handle, "waiting")
    await handle.cancel()
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}


async def test_an_item_is_decided_by_its_path(tasks: Tasks, effects: Desk) -> None:
    each = {
        **put("each", what="i${{ index }}", fail="first"),
        "for_each": "[1, 2]",
        "on_failure": "escalate",
    }
    handle = await tasks.start([each])
    for what in ("i0", "i1"):
        await effects.until("undone", what)
    for name in ("each[0]", "each[1]"):
        await until_asked(handle, name)
    await tell(handle, "decide", step="each[1]", action="retry")
    await tell(handle, "decide", step="each[0]", action="skip")
    end = await end_of(handle)
    assert end.type == "completed"
    assert end.output["each"][0] is None
    assert list(effects.effects()) == ["i1"]


async def test_decide_twice_and_other_nonsense(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(asking(delay=HELD))
    await until_state(handle, "waiting")
    nonsense: list[tuple[dict[str, Any], str]] = [
        ({"step": "b", "action": "rerty"}, "'b' takes retry, skip, supply, rollback, not 'rerty'"),
        ({"step": "a", "action": "retry"}, "'a' waits for nobody: it is completed"),
        ({"step": "x", "action": "retry"}, "there is no step 'x'"),
        ({"step": "b", "action": "retry", "value": 1}, "retry takes no value"),
        ({"step": "b", "action": "supply"}, "is not of type 'object'"),
        (
            {"step": "b", "action": "supply", "value": {"what": "x" * 1_000_000, "key": "k"}},
            "the most is 1000000",
        ),
        ({"step": "b", "action": "retry", "by": ""}, "by: String should have at least 1 character"),
    ]
    for message, why in nonsense:
        assert why in await refusal_of(handle, "decide", **message)
    await tell(handle, "decide", step="b", action="retry")
    await effects.until("begin", "c")
    assert "'b' was decided already: retry, by ann" in await refusal_of(
        handle, "decide", step="b", action="skip"
    )
    effects.release("c")
    assert (await end_of(handle)).type == "completed"
