"""G1, G2: what is undone, and in which order."""

from __future__ import annotations

import json
from typing import Any

from counterstep.tests.support.bundles.agents import Happened
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.histories.history import events_of, seconds_to_undo
from counterstep.tests.support.tasks.tasks import Tasks, end_of

ONCE = {"attempts": 1}


def put(step: str, *needs: str, **arguments: Any) -> dict[str, Any]:
    return {
        "id": step,
        "needs": list(needs),
        "tool": "desk.put",
        "input": {"what": step, **arguments},
        "retry": ONCE,
    }


def diamond(undo_delay: float) -> list[dict[str, Any]]:
    return [
        put("a"),
        put("b", "a", undo_delay=undo_delay),
        put("c", "a", undo_delay=undo_delay),
        put("d", "b", "c", fail="final"),
    ]


async def test_undos_run_in_reverse_dependency_order_and_side_by_side(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(diamond(undo_delay=HELD))
    for what in ("b", "c"):
        await effects.until("undo", what)
    effects.release("undo b", "undo c")
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert effects.effects() == {}
    undos = [(event.action, event.what) for event in effects.events("undo", "undone")]
    assert undos[:2] == [("undo", "d"), ("undone", "d")]
    assert {what for _, what in undos[2:4]} == {"b", "c"}
    assert [action for action, _ in undos[2:4]] == ["undo", "undo"], "b and c are undone side by side"
    assert undos[-2:] == [("undo", "a"), ("undone", "a")]
    assert end.details["undone"][0] == "d"
    assert end.details["undone"][3] == "a"
    assert end.details["not_undone"] == []


async def test_sequential_order_is_newest_start_first_one_by_one(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(diamond(undo_delay=0.4), compensation={"order": "sequential"})
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    # Of b and c, which are scheduled together, either may begin first.
    happened = await Happened.in_(handle)
    started = [id_.removesuffix("#1") for id_ in happened.ids if "/undo" not in id_]
    assert sorted(started) == ["a", "b", "c", "d"]
    undos = [(event.action, event.what) for event in effects.events("undo", "undone")]
    assert undos == [(action, what) for what in reversed(started) for action in ("undo", "undone")]
    assert end.details["undone"] == list(reversed(started))


async def test_a_stuck_undo_holds_back_only_those_ordered_after_it(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), put("b", "a", undo="fail"), put("c"), put("d", "b", "c", fail="final")]
    end = await tasks.run(steps, compensation={"give_up": "100ms"})
    assert end.type == "SagaRollbackIncomplete"
    assert set(effects.what("undone")) == {"c", "d"}
    assert set(effects.effects()) == {"a", "b"}
    assert end.details["not_undone"] == ["b", "a"]
    assert end.details["undone"] == ["d", "c"]
    remaining = {item["step"]: item for item in end.details["remaining"]}
    assert remaining["b"]["state"] == "stuck"
    assert "the undo of b fails" in remaining["b"]["error"]
    assert remaining["a"]["state"] == "settled"


async def test_a_step_that_failed_is_itself_undone(tasks: Tasks, effects: Desk) -> None:
    for fail in ("before", "after", "garbage"):
        end = await tasks.run([put(fail, fail=fail)])
        assert end.type == "SagaRolledBack"
        assert end.failure["step"] == fail
        undo = next(event for event in effects.events("undo") if event.what == fail)
        assert json.loads(undo.note)["output"] is False, "it is unknown whether it happened"
    assert effects.effects() == {}


async def test_a_call_that_timed_out_is_undone_after_its_timeout_and_a_grace(
    tasks: Tasks, effects: Desk
) -> None:
    step = {**put("slow", delay=HELD), "timeout": "1s"}
    handle = await tasks.start([put("first"), {**step, "needs": ["first"]}])
    end = await end_of(handle)
    assert end.failure["type"] == "Timeout"
    assert seconds_to_undo(await events_of(handle), "slow") >= 1 + 2
    effects.release("slow")
    await effects.until("refused", "slow")
    assert effects.effects() == {}, "a call that lands after its undo must refuse"


async def test_not_applied_needs_no_undo(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([put("a"), put("full", "a", fail="not_applied")])
    assert end.type == "SagaRolledBack"
    assert end.failure == {"step": "full", "type": "NotApplied", "message": "no room for full"}
    assert effects.what("undo") == ["a"]
    assert end.details["undone"] == ["a"]


async def test_before_reaches_the_undo_even_when_the_output_is_unknown(tasks: Tasks, effects: Desk) -> None:
    label = {"tool": "desk.set_label", "retry": ONCE}
    first = await tasks.run([{"id": "old", **label, "input": {"name": "n", "value": "old"}}])
    assert first.type == "completed"
    end = await tasks.run([{"id": "new", **label, "input": {"name": "n", "value": "new", "fail": "yes"}}])
    assert end.type == "SagaRolledBack"
    assert effects.what("done", "undone")[-2:] == ["label n=new", "label n=old"]


async def test_the_undo_is_recorded_with_the_call_that_it_undoes(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), put("b", "a", fail="final")])
    assert (await end_of(handle)).type == "SagaRolledBack"
    scheduled: dict[str, tuple[str, dict[str, Any]]] = {}
    async for event in handle.fetch_history_events():
        attributes = event.activity_task_scheduled_event_attributes
        if attributes.activity_id:
            header = json.loads(attributes.header.fields["counterstep"].data)
            scheduled[attributes.activity_id] = (attributes.activity_type.name, header)
    assert list(scheduled) == ["a#1", "b#1", "b/undo#1", "a/undo#1"]
    for step in ("a", "b"):
        forward, undo = scheduled[f"{step}#1"][1], scheduled[f"{step}/undo#1"][1]
        assert forward["compensation"] == "desk.take_back"
        assert forward["effect"] == "compensatable"
        assert forward["version"] == 1
        assert forward["key"] == undo["key"]
    assert scheduled["a#1"][1]["key"] != scheduled["b#1"][1]["key"]
