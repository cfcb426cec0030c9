"""G24: a plan that is changed undoes exactly what changed, and calls nothing else again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_asked
from counterstep.tests.support.tasks.work import put, step

PLANNED = "${{ has(facts.plan) ? facts.plan : task.plan }}"


def op(id_: str, *after: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id_, "after": list(after), "tool": "desk.put", "input": {"what": id_, **arguments}}


def steps(*more: dict[str, Any], **keys: Any) -> list[dict[str, Any]]:
    """An agent that plans, and a step that does what it has planned."""
    plan = {"id": "plan", "agent": "desk.planner", "input": {"items": PLANNED}}
    ops = {
        "id": "ops",
        "tool": "${{ item.tool }}",
        "one_of": ["desk.put", "desk.look"],
        "for_each": "steps.plan.output.items",
        "key": "item.id",
        "after": "item.after",
        "input": "${{ item.input }}",
        "retry": {"attempts": 1},
        **keys,
    }
    return [plan, ops, *more]


EIGHT = [
    op("train"),
    op("hotel", "train"),
    op("dinner", "hotel"),
    op("museum", "train"),
    op("guide", "museum"),
    op("boat"),
    op("taxi", "dinner", delay=HELD),
    op("breakfast", "taxi"),
]


def happened(effects: Desk) -> list[str]:
    return [f"{event.action} {event.what}" for event in effects.events("done", "undone")]


async def test_a_plan_of_eight_is_disrupted_in_the_middle(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(steps(put("bill", "ops")), {"plan": EIGHT})
    await effects.until("begin", "taxi")
    before = effects.effects()
    assert sorted(before) == ["boat", "dinner", "guide", "hotel", "museum", "train"]
    # The museum is closed: another one, without a guide. The rest is as before, and so is what runs.
    changed = [
        op("museum", "train", size=1) if item["id"] == "museum" else item
        for item in EIGHT
        if item["id"] != "guide"
    ]
    assert (await tell(handle, "amend", facts={"plan": changed}))["affected"] == ["plan", "ops"]
    await effects.until("undone", "museum")
    effects.release("taxi")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    after = effects.effects()
    assert sorted(after) == ["bill", "boat", "breakfast", "dinner", "hotel", "museum", "taxi", "train"]
    assert {name: key for name, key in after.items() if before.get(name) == key}.keys() == {
        "boat", "dinner", "hotel", "train",
    }  # fmt: skip
    assert Counter(effects.what("begin")) == {name: 1 + (name == "museum") for name in {*after, "guide"}}
    assert effects.what("undone") == ["guide", "museum"], "what came after is undone first"
    said = [line["what"] for line in (await handle.query("board"))["log"] if line["step"] == "ops"]
    assert "keeps train, hotel, dinner, boat, taxi; does again museum; undoes guide; adds breakfast" in said
    assert "[train]: calls desk.put" in said
    assert effects.what("plan") == [", ".join(i["id"] for i in plan) for plan in (EIGHT, changed)]


async def test_what_comes_out_the_same_redoes_nobody(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(steps(put("end", "ops", delay=HELD)), {"plan": [op("a"), op("b", "a")]})
    await effects.until("begin", "end")
    await tell(handle, "amend", invalidates=["plan"])
    await effects.until("plan", "a, b")
    effects.release("end")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert effects.what("plan") == ["a, b"] * 2
    assert (effects.what("begin"), effects.what("undo")) == (["a", "b", "end"], [])


async def test_what_is_kept_is_undone_before_what_it_builds_on_now(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a"), op("b", "a"), op("c", "b")]
    handle = await tasks.start(steps(put("end", "ops", delay=HELD, fail="before")), {"plan": plan})
    await effects.until("begin", "end")
    changed = [op("a", size=1), op("b", "a"), op("c", "b")]
    await tell(handle, "amend", facts={"plan": changed})
    effects.release("end")
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert effects.effects() == {}
    undone = [what for what in effects.what("undone") if what != "end"]
    assert undone[0] == "a", "it has changed, and what comes after it has not"
    assert undone[1:] == ["c", "b", "a"], "in the end everything goes back in reverse order"
    assert Counter(effects.what("begin"))["b"] == 1


async def test_closure_does_again_what_comes_after(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a"), op("b", "a"), op("c"), op("d", delay=HELD)]
    # It might come to a pivot, and nothing starts beside that; but nobody waits for a plan that is held.
    keys = {"keep": "closure", "one_of": ["desk.put", "desk.hand_over"]}
    handle = await tasks.start(steps(**keys), {"plan": plan})
    await effects.until("begin", "d")
    await effects.until("done", "b")
    await tell(handle, "amend", facts={"plan": [op("a", size=1), *plan[1:]]})
    await effects.until("undone", "a")
    effects.release("d")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("undone") == ["b", "a"]
    assert Counter(effects.what("begin")) == {"a": 2, "b": 2, "c": 1, "d": 1}


async def test_what_is_frozen_refuses_the_plan_that_would_undo_it(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a"), op("b", delay=HELD)]
    frozen = steps(frozen="item.id == 'a'", on_reject={"retry_from": "plan", "rounds": 1})
    handle = await tasks.start(frozen, {"plan": plan})
    await effects.until("done", "a")
    await tell(handle, "amend", facts={"plan": [op("b", delay=HELD)]})
    await effects.until("plan", "b")
    effects.release("b")
    end = await end_of(handle)
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    assert "'a' is frozen" in end.failure["message"]
    assert effects.effects() == {}
    assert len(effects.what("plan")) == 3, "the planner has read why, and has had another try"


@pytest.mark.parametrize(
    ("frozen", "said"),
    [
        (
            "item.id in facts.paid",
            "'b' would be undone, and nobody can tell whether it is frozen: facts.paid",
        ),
        ("item.gone", "'b' would be undone, and nobody can tell whether it is frozen: item.gone is missing"),
        ("null", "whether it is frozen: 'null' is neither true nor false"),
        ("index == 1", "'b' is frozen"),
    ],
)
async def test_where_nobody_can_tell_whether_an_item_is_frozen_it_is_not_undone_for_a_plan(
    tasks: Tasks, effects: Desk, frozen: str, said: str
) -> None:
    better = [op("a"), op("b"), op("c", delay=HELD)]
    keys = steps(frozen=frozen, on_reject={"retry_from": "plan", "rounds": 1})
    keys[0]["input"]["items"] = "${{ has(facts.plan) && size(feedback) < 2 ? facts.plan : task.plan }}"
    handle = await tasks.start(keys, {"plan": better})
    await effects.until("done", "a")
    await effects.until("done", "b")
    await tell(handle, "amend", facts={"plan": [op("a"), op("b", size=1), op("c", delay=HELD)]})
    effects.release("c")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert effects.what("undone") == []
    assert Counter(effects.what("begin")) == {"a": 1, "b": 1, "c": 1}
    log = (await handle.query("board"))["log"]
    assert [line for line in log if line["step"] == "ops" and said in str(line)], log


async def test_an_item_that_a_later_plan_freezes_is_frozen(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a"), op("b", delay=HELD)]
    frozen = steps(frozen="has(item.paid) && item.paid")
    handle = await tasks.start(frozen, {"plan": plan})
    await effects.until("done", "a")
    await tell(handle, "amend", facts={"plan": [{**plan[0], "paid": True}, plan[1], op("c")]})
    await effects.until("done", "c")
    await tell(handle, "amend", facts={"plan": [plan[1]]})
    effects.release("b")
    end = await end_of(handle)
    assert "'a' is frozen" in end.failure["message"]


async def test_a_plan_with_faults_is_refused_before_anything_of_it_runs(tasks: Tasks, effects: Desk) -> None:
    plan = [
        op("a", "z"),
        op("a"),
        op("b", "c"),
        op("c", "b"),
        {**op("d"), "tool": "desk.putt"},
        {**op("e", "d"), "input": {"wat": 1}},
        {**op("f"), "tool": "desk.hand_over"},
        {**op("g", "f"), "tool": "desk.hand_over"},
        op("h h"),
        op("i", "f"),
    ]
    end = await tasks.run(steps(one_of=["desk.put", "desk.hand_over"]), {"plan": plan})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    for fault in (
        "the key 'a' is that of the items 0 and 1",
        "'a' comes after 'z', which is not in the plan",
        "these wait for each other, or for such: b, c",
        "'desk.putt' is not in one_of",
        "e: desk.put cannot take",
        "'g' is a point of no return (desk.hand_over), and 'f' is one already",
        "the key 'h h' is not a name",
        "'i' can be undone, and comes after 'f', which cannot",
    ):
        assert fault in end.failure["message"]
    assert "'e' comes after" not in end.failure["message"], "d is in the plan, whatever is wrong with it"
    assert effects.events("begin") == []


async def test_an_item_that_fails_has_the_planner_think_again(tasks: Tasks, effects: Desk) -> None:
    better = "${{ size(feedback) == 0 ? task.plan : task.better }}"
    keys = {"one_of": ["desk.put", "desk.hand_over"], "on_failure": {"retry_from": "plan", "rounds": 2}}
    planned = steps(step("told", "desk.announce", "ops"), **keys)
    planned[0]["input"] = {"items": better}
    plan = [op("a"), op("b", "a", fail="after"), op("c")]
    better_plan = [op("a"), op("b2", "a"), op("c")]
    end = await tasks.run(planned, {"plan": plan, "better": better_plan})
    assert end.type == "completed", end.message
    assert sorted(effects.effects()) == ["a", "b2", "c", "told"]
    assert Counter(effects.what("begin")) == {"a": 1, "b": 1, "b2": 1, "c": 1, "told": 1}
    assert effects.what("undone") == ["b"]


async def test_what_comes_after_a_pivot_does_not_hold_it_back(tasks: Tasks, effects: Desk) -> None:
    seen = {"id": "a", "tool": "desk.look", "input": {"what": "${{ has(facts.x) ? facts.x : 'x' }}"}}
    work = [
        seen,
        put("b", delay=HELD),
        step("z", "desk.hand_over", "a", "b"),
        step("told", "desk.announce", "z"),
    ]
    handle = await tasks.start(work)
    await effects.until("look", "x")
    await tell(handle, "amend", facts={"x": "y"})
    await effects.until("look", "y")
    effects.release("b")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert happened(effects) == ["done b", "done z", "done told"]


async def test_a_question_about_a_plan_is_asked_again_where_it_differs(tasks: Tasks, effects: Desk) -> None:
    asked = {"id": "agreed", "approve": {"ask": "Shall we do ${{ steps.ops.output[1].what }}?"}}
    work = steps(asked, one_of=["desk.put", "desk.hand_over"])
    handle = await tasks.start(work, {"plan": [op("a"), op("b", "a")]})
    await until_asked(handle, "agreed", "do b?")
    for other in "cd":
        await tell(handle, "amend", facts={"plan": [op("a"), op(other, "a")]})
        await until_asked(handle, "agreed", f"do {other}?")
    await tell(handle, "decide", step="agreed", action="approve")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert happened(effects) == [
        "done a", "done b", "undone b", "done c", "undone c", "done d",
    ]  # fmt: skip


async def test_a_plan_may_end_with_the_point_of_no_return(tasks: Tasks, effects: Desk) -> None:
    plan = [{**op("z"), "tool": "desk.hand_over"}, op("a"), op("b", "a")]
    end = await tasks.run(steps(one_of=["desk.put", "desk.hand_over"]), {"plan": plan})
    assert end.type == "completed", end.message
    assert happened(effects)[-1] == "done z", "it waits for all that can be undone"


async def test_items_read_what_those_before_them_came_to(tasks: Tasks, effects: Desk) -> None:
    planned = steps(input={"what": "${{ size(item.after) == 0 ? item.id : done[item.after[0]].what + '+' }}"})
    end = await tasks.run(
        planned, {"plan": [op("a"), op("b", "a")]}, output="${{ steps.ops.output[1].what }}"
    )
    assert end.output == "a+"


async def test_what_was_built_on_a_changed_plan_is_undone_before_and_done_again(
    tasks: Tasks, effects: Desk
) -> None:
    handle = await tasks.start(
        steps(put("bill", "ops"), put("end", "bill", delay=HELD)), {"plan": [op("a"), op("b")]}
    )
    await effects.until("begin", "end")
    await tell(handle, "amend", facts={"plan": [op("a", size=1), op("b")]})
    effects.release("end")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert effects.what("undone") == ["end", "bill", "a"]
    assert Counter(effects.what("begin")) == {"a": 2, "b": 1, "bill": 2, "end": 2}
    assert sorted(effects.effects()) == ["a", "b", "bill", "end"]


async def test_a_person_has_another_plan_made(tasks: Tasks, effects: Desk) -> None:
    planned = steps(on_failure="escalate", on_reject="escalate")
    planned[0]["input"] = {"items": "${{ task.plans[size(feedback)] }}"}
    plans = [[op("a"), op("b", "a", fail="after")], [op("a"), op("c", "z")], [op("a"), op("c", "a")]]
    handle = await tasks.start(planned, {"plans": plans})
    await until_asked(handle, "ops[b]", "failed after")
    await tell(handle, "decide", step="ops[b]", action="replan")
    await until_asked(handle, "ops", "'c' comes after 'z'")
    await tell(handle, "decide", step="ops", action="replan")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert sorted(effects.effects()) == ["a", "c"]
    assert Counter(effects.what("begin")) == {"a": 1, "b": 1, "c": 1}


async def test_an_answer_that_is_no_list_is_a_plan_with_a_fault(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run(steps(for_each="steps.plan.output"), {"plan": []})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    assert "must give a list, not dict" in end.failure["message"]


async def test_two_facts_while_the_planner_thinks(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a"), op("b", "a"), op("c", delay=HELD)]
    handle = await tasks.start(steps(), {"plan": plan})
    await effects.until("done", "b")
    for size in (1, 2, 3):
        await tell(handle, "amend", facts={"plan": [op("a"), op("b", "a", size=size), op("c", delay=HELD)]})
    effects.release("c")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert Counter(effects.what("begin"))["a"] == Counter(effects.what("begin"))["c"] == 1
    assert effects.events("done")[-1].what in ("b", "c")
    (b,) = [event.key for event in effects.events("done") if event.what == "b"][-1:]
    assert effects.effects()["b"] == b, "only the last one stands"


async def test_a_cancel_while_the_plan_is_changed_leaves_nothing(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a", undo_delay=HELD), op("b", "a"), op("c", delay=HELD)]
    handle = await tasks.start(steps(), {"plan": plan})
    await effects.until("done", "b")
    await tell(handle, "amend", facts={"plan": [op("b"), op("c", delay=HELD)]})
    await effects.until("undo", "a")
    await handle.cancel()
    effects.release("undo a", "c")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}


async def test_a_stuck_undo_of_an_item_is_resolved_by_its_path(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start(steps(), {"plan": [op("a", undo="broken"), op("b", delay=HELD)]})
    await effects.until("done", "a")
    await effects.until("begin", "b")
    await tell(handle, "amend", facts={"plan": [op("b", delay=HELD)]})
    await until_asked(handle, "ops", "stuck")
    effects.repair("a")
    await tell(handle, "resolve", step="ops[a]", action="retry")
    effects.release("b")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert sorted(effects.effects()) == ["b"]
