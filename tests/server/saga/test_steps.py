"""What a spec says about its steps: order, conditions, items, groups, and what follows a failure."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.common import RawValue
from temporalio.worker import Worker

from counterstep import Bundle
from counterstep.embedded import EmbeddedServer
from counterstep.saga.calls import unknown_names
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.bundles.nest import nest
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.worker import stock_plugin

ONCE = {"attempts": 1}


def put(step: str, *needs: str, what: Any = None, **arguments: Any) -> dict[str, Any]:
    return {
        "id": step,
        "needs": list(needs),
        "tool": "desk.put",
        "input": {"what": step if what is None else what, **arguments},
        "retry": ONCE,
    }


def think(step: str, text: str, **keys: Any) -> dict[str, Any]:
    return {"id": step, "agent": "desk.thinker", "input": {"text": text}, **keys}


async def test_outputs_flow_by_expressions_and_reading_a_step_implies_needs(
    tasks: Tasks, effects: Desk
) -> None:
    steps = [
        put("second", what="${{ steps.first.output.text }} and more"),
        think("first", "${{ task.word }}"),
    ]
    output = {"text": "${{ steps.second.output.what }}", "n": "${{ task.n }}", "half": "${{ task.n / 2 }}"}
    end = await tasks.run(steps, {"word": "hello", "n": 7}, output=output)
    assert end.output == {"text": "hello and more", "n": 7, "half": 3.5}
    assert effects.what("think", "done") == ["hello", "hello and more"]


async def test_steps_start_as_soon_as_their_needs_are_met(tasks: Tasks, effects: Desk) -> None:
    steps = [
        put("slow", delay=HELD),
        put("fast"),
        put("after_fast", "fast"),
        put("after_all", "slow", "after_fast"),
    ]
    handle = await tasks.start(steps)
    await effects.until("begin", "slow")
    await effects.until("done", "after_fast")
    effects.release("slow")
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["fast", "after_fast", "slow", "after_all"]


async def test_a_step_whose_when_is_false_is_skipped_and_satisfies_needs(tasks: Tasks, effects: Desk) -> None:
    steps = [
        {**put("maybe"), "when": "task.n > 5"},
        put("then", "maybe", what="${{ steps.maybe.state == 'skipped' ? 'without' : 'with' }}"),
    ]
    end = await tasks.run(steps, {"n": 3})
    assert end.output["maybe"] is None
    assert effects.what("done") == ["without"]
    assert (await tasks.run(steps, {"n": 6})).output["maybe"]["what"] == "maybe"


async def test_for_each_gives_a_list_in_item_order_with_null_where_skipped(
    tasks: Tasks, effects: Desk
) -> None:
    step = {
        **put("each", what="${{ item.name }}-${{ index }}", delay="${{ item.wait }}"),
        "for_each": "task.items",
        "when": "item.name != 'skip'",
    }
    items = [{"name": "a", "wait": HELD}, {"name": "skip", "wait": 0}, {"name": "b", "wait": 0}]
    handle = await tasks.start([step], {"items": items})
    await effects.until("done", "b-2")
    effects.release("a-0")
    end = await end_of(handle)
    assert [found and found["what"] for found in end.output["each"]] == ["a-0", None, "b-2"]
    assert effects.what("done") == ["b-2", "a-0"]
    assert (await tasks.run([step], {"items": []})).output["each"] == []


async def test_max_parallel_bounds_the_items_that_run_at_once(tasks: Tasks, effects: Desk) -> None:
    step = {**put("each", what="i${{ index }}", delay=HELD), "for_each": "[1, 2, 3, 4, 5]", "max_parallel": 2}
    handle = await tasks.start([step])
    await effects.until("begin", "i0")
    for number in range(5):
        if number < 4:
            await effects.until("begin", f"i{number + 1}")
        effects.release(f"i{number}")
    assert (await end_of(handle)).type == "completed"
    running = most = 0
    for event in effects.events("begin", "done"):
        running += 1 if event.action == "begin" else -1
        most = max(most, running)
    assert most == 2


async def test_items_in_turn_are_undone_in_turn(tasks: Tasks, effects: Desk) -> None:
    names = ["x", "y", "z"]
    inside = [put("one", what="${{ item }}1"), put("two", "one", what="${{ item }}2")]
    each = {"id": "each", "for_each": "task.names", "max_parallel": 1, "group": {"steps": inside}}
    end = await tasks.run([each, put("last", "each", fail="final")], {"names": names})
    assert end.type == "SagaRolledBack"
    assert effects.what("undone") == ["last", *(f"{name}{n}" for name in "zyx" for n in (2, 1))]


async def test_an_item_is_undone_before_those_that_had_ended_when_it_began(
    tasks: Tasks, effects: Desk
) -> None:
    wait = "${{ index == 0 ? -1.0 : 0.0 }}"
    thing = put("each", what="i${{ index }}", late=wait, undo_delay="${{ index * 0.1 }}")
    each = {**thing, "for_each": "[0, 1, 2, 3]", "max_parallel": 2}
    handle = await tasks.start([each, put("last", "each", fail="final")])
    await effects.until("done", "i3")
    effects.release("i0")
    assert (await end_of(handle)).type == "SagaRolledBack"
    undone = [what for what in effects.what("undone") if what not in ("last", "i0")]
    assert undone == ["i3", "i2", "i1"], "each began when the one before had ended"


async def test_a_failing_item_undoes_all_items(tasks: Tasks, effects: Desk) -> None:
    fail = "${{ index == 2 ? 'final' : '' }}"
    step = {
        **put("each", what="i${{ index }}", fail=fail, late="${{ index * 0.3 }}"),
        "for_each": "[1, 2, 3, 4]",
    }
    end = await tasks.run([step])
    assert end.type == "SagaRolledBack"
    assert end.details["undone"] == ["each"]
    assert effects.effects() == {}
    assert sorted(effects.what("undone")) == sorted(effects.what("done")), "late successes are undone too"


async def test_skip_undoes_the_step_and_goes_on(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), {**put("b", "a", fail="after"), "on_failure": "skip"}, put("c", "b")]
    end = await tasks.run(steps)
    assert end.type == "completed"
    assert end.output["b"] is None
    assert effects.what("undone") == ["b"]
    assert list(effects.effects()) == ["a", "c"]
    assert end.details["undone"] == ["b"]


async def test_fallback_undoes_the_step_and_lets_another_agent_do_it(tasks: Tasks, effects: Desk) -> None:
    step = {
        "id": "idea",
        "agent": "desk.thinker",
        "input": {"text": "good", "fail": "${{ task.fail }}"},
        "on_failure": {"fallback": "desk.second_thinker"},
    }
    handle = await tasks.start([step], {"fail": "yes"})
    end = await end_of(handle)
    assert end.output["idea"] == {"text": "second good", "score": 0.5}
    ids = [
        event.activity_task_scheduled_event_attributes.activity_id
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert ids == ["idea#1", "idea/undo#1", "idea#2"], "the undo comes first, and the re-run has its own key"


async def test_on_reject_differs_from_on_failure(tasks: Tasks, effects: Desk) -> None:
    step = {**put("a"), "validate": [{"rule": "false"}], "on_failure": "rollback", "on_reject": "skip"}
    assert (await tasks.run([step])).type == "completed"
    assert effects.effects() == {}
    broken = {**put("b", fail="final"), "on_reject": "skip"}
    assert (await tasks.run([broken])).type == "SagaRolledBack"


async def test_a_group_succeeds_whole(tasks: Tasks, effects: Desk) -> None:
    group = {
        "steps": [put("x"), put("y", what="${{ steps.x.output.what }}y")],
        "output": "${{ steps.y.output.what }}",
    }
    steps = [put("a"), {"id": "g", "needs": ["a"], "group": group}, put("z", what="${{ steps.g.output }}z")]
    end = await tasks.run(steps)
    assert end.output["g"] == "xy"
    assert list(effects.effects()) == ["a", "x", "xy", "xyz"]


async def test_a_group_is_undone_together_and_alone(tasks: Tasks, effects: Desk) -> None:
    group = {"steps": [put("x"), put("y", "x"), put("z", "y", fail="final")]}
    steps = [put("a"), {"id": "g", "needs": ["a"], "group": group, "on_failure": "skip"}, put("b", "g")]
    handle = await tasks.start(steps)
    end = await end_of(handle)
    assert end.type == "completed"
    assert effects.what("undone") == ["z", "y", "x"]
    assert list(effects.effects()) == ["a", "b"]
    board = await handle.query("board")
    states = {name: step["state"] for name, step in board["steps"].items()}
    assert states == {
        "a": "completed",
        "g": "skipped",
        "x": "undone",
        "y": "undone",
        "z": "undone",
        "b": "completed",
    }


async def test_a_group_of_a_task_that_rolls_back_is_undone_inside_out(tasks: Tasks, effects: Desk) -> None:
    group = {"steps": [put("x"), put("y", "x")]}
    steps = [put("a"), {"id": "g", "needs": ["a"], "group": group}, put("b", "g", fail="final")]
    handle = await tasks.start(steps)
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.what("undone") == ["b", "y", "x", "a"]
    board = await handle.query("board")
    assert {step["state"] for step in board["steps"].values()} == {"undone"}
    assert {step["output"] for step in board["steps"].values()} == {None}


async def test_a_group_runs_once_for_each_item(tasks: Tasks, effects: Desk) -> None:
    group = {
        "steps": [
            put("x", what="x${{ item }}"),
            put("y", what="${{ steps.x.output.what }}y", fail="${{ item == 2 && task.fail ? 'final' : '' }}"),
        ],
        "output": "${{ steps.y.output.what }}",
    }
    steps = [{"id": "g", "for_each": "[1, 2, 3]", "group": group}]
    end = await tasks.run(steps, {"fail": False})
    assert end.output["g"] == ["x1y", "x2y", "x3y"]
    before = len(effects.effects())
    end = await tasks.run(steps, {"fail": True})
    assert end.type == "SagaRolledBack"
    assert end.failure["step"] == "g[1]/y"
    assert len(effects.effects()) == before == 6


async def test_names_may_be_expressions_within_one_of(tasks: Tasks, effects: Desk) -> None:
    step = {
        "id": "idea",
        "agent": "${{ task.who }}",
        "one_of": ["desk.thinker", "desk.second_thinker"],
        "input": {"text": "x"},
    }
    assert (await tasks.run([step], {"who": "desk.second_thinker"})).output["idea"]["text"] == "second x"
    end = await tasks.run([put("a"), {**step, "needs": ["a"]}], {"who": "desk.somebody"})
    assert end.type == "SagaRolledBack"
    assert "one_of" in end.message
    assert effects.effects() == {}


async def test_a_deadline_rolls_back(tasks: Tasks, effects: Desk) -> None:
    steps = [
        put("a"),
        {"id": "wait", "needs": ["a"], "tool": "desk.look", "input": {"what": "b", "delay": HELD}},
        put("b", "wait"),
    ]
    end = await tasks.run(steps, deadline="4s")
    effects.release("b")
    assert end.failure["type"] == "DeadlineExceeded"
    assert effects.effects() == {}
    assert effects.what("done", "undone") == ["a", "a"]


async def test_a_deadline_that_is_kept_changes_nothing(tasks: Tasks, effects: Desk) -> None:
    assert (await tasks.run([put("a")], deadline="1h")).type == "completed"


async def test_a_failed_first_attempt_is_retried_under_the_same_key(tasks: Tasks, effects: Desk) -> None:
    step = {**put("a", fail="once"), "retry": {"attempts": 3, "initial": "100ms", "factor": 1}}
    assert (await tasks.run([step])).type == "completed"
    begun = effects.events("begin")
    assert [event.attempt for event in begun] == [1, 2]
    assert len({event.key for event in begun}) == 1


async def test_task_level_validate_judges_the_whole(tasks: Tasks, effects: Desk) -> None:
    rule = {"rule": "size(output.a.what) > 5", "message": "${{ output.a.what }} is too short"}
    end = await tasks.run([put("a")], validate=[rule])
    assert end.failure["type"] == "Rejected"
    assert "a is too short" in end.message
    assert effects.effects() == {}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (
            put(
                "b",
                what="${{ steps.a.output.missing }}",
            ),
            "has no 'missing'",
        ),
        (put("b", what="${{ steps.a.output.what == '' ? '' : task.gone }}"), "task.gone is missing"),
        (put("b", what="${{ steps.a.output.what == '' ? '' : task.nothing }}"), "task.nothing is null"),
        ({**put("b"), "when": "task.n + 1"}, "must be true or false"),
        ({**put("b"), "for_each": "task.n"}, "must give a list"),
    ],
)
async def test_an_expression_that_fails_undoes_the_task(
    tasks: Tasks, effects: Desk, step: dict[str, Any], message: str
) -> None:
    end = await tasks.run([put("a"), {**step, "needs": ["a"]}], {"n": 1, "nothing": None})
    assert end.type in ("SagaRolledBack", "InvalidSpec")
    assert message in end.message
    assert effects.effects() == {}


async def test_faults_are_all_named_before_anything_runs(tasks: Tasks, effects: Desk) -> None:
    steps = [put("a"), {"id": "b", "tool": "desk.putt", "input": {}}, {"id": "c", "agent": "desk.thinker"}]
    end = await tasks.run(steps, output="${{ steps.d.output }}")
    assert end.type == "InvalidSpec"
    faults = [(fault["path"], fault["message"]) for fault in end.details["faults"]]
    assert [path for path, _ in faults] == ["steps[1].tool", "steps[2].input", "output"]
    assert "did you mean 'desk.put'?" in faults[0][1]
    assert effects.events() == []


async def test_inputs_that_expressions_miss_are_all_named_before_anything_runs(
    tasks: Tasks, effects: Desk
) -> None:
    steps = [put("a"), put("b", what="${{ task.gone }}"), put("c", what="${{ task.nothing }}")]
    end = await tasks.run(steps, {"nothing": None}, output="${{ task.lost }}")
    assert end.type == "InvalidInput"
    assert [(fault["path"], fault["message"]) for fault in end.details["faults"]] == [
        ("input", "task.gone is missing, and steps[1].input.what reads it"),
        ("input", "task.lost is missing, and output reads it"),
        ("steps[2].input.what", "task.nothing is null"),
    ]
    assert effects.events() == []


async def until_left_to_others(handle: WorkflowHandle[Any, Any]) -> None:
    """Looks again and again: a long poll can miss a first attempt that fails while the second one begins."""
    async with asyncio.timeout(60):
        while not any(  # noqa: ASYNC110
            event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
            for event in (await handle.fetch_history()).events
        ):
            await asyncio.sleep(0.1)


async def test_an_unknown_task_waits_for_a_worker_that_knows_it(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    old = await Client.connect(server.address, plugins=[stock_plugin([desk])])
    new = await Client.connect(server.address, plugins=[stock_plugin([desk, nest])])
    async with Worker(old, task_queue=task_queue):
        handles = [
            await Tasks(old, task_queue).start_workflow("nest.middle", {}),
            await Tasks(old, task_queue).start_workflow("AgentTask", {"task": "nest.middle"}),
        ]
        for handle in handles:
            await until_left_to_others(handle)
    async with Worker(new, task_queue=task_queue):
        assert [(await end_of(handle)).output for handle in handles] == [{"inner": "i3"}] * 2


async def test_a_task_that_nobody_knows_ends_in_time_with_the_nearest_name(
    server: EmbeddedServer, task_queue: str, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_names, "PATIENCE", timedelta())
    client = await Client.connect(server.address, plugins=[stock_plugin([desk])])
    async with Worker(client, task_queue=task_queue):
        tasks = Tasks(client, task_queue)
        ends = [
            await end_of(await tasks.start_workflow("desk.tidi", {})),
            await end_of(await tasks.start_workflow("AgentTask", {"task": "desk.tidi"})),
        ]
    assert [end.type for end in ends] == ["UnknownTask"] * 2
    assert all("did you mean 'desk.tidy'?" in end.message for end in ends)


async def test_a_task_goes_on_although_its_registration_is_gone(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    knows, forgot = Bundle("knows"), Bundle("knows")
    knows.add_task({"name": "order", "goal": "Two things.", "steps": [put("a", late=HELD), put("b", "a")]})
    clients = [
        await Client.connect(server.address, plugins=[stock_plugin([desk, b])]) for b in (knows, forgot)
    ]
    async with Worker(clients[0], task_queue=task_queue):
        handle = await Tasks(clients[0], task_queue).start_workflow("knows.order", {})
        await effects.until("done", "a")
        effects.release("a")
    async with Worker(clients[1], task_queue=task_queue):
        assert (await end_of(handle)).type == "completed"
    assert sorted(effects.effects()) == ["a", "b"]


async def test_a_registered_task_is_a_workflow_type_and_checks_its_input(tasks: Tasks, effects: Desk) -> None:
    end = await end_of(await tasks.start_workflow("desk.tidy", {"what": "cup"}))
    assert end.output == {"on_desk": "cup"}
    end = await end_of(
        await tasks.start_workflow("AgentTask", {"task": "desk.tidy", "input": {"what": "pen"}})
    )
    assert end.output == {"on_desk": "pen"}
    for wrong in ({}, {"what": 3}, [1], "text", b"\x00\x01"):
        end = await end_of(await tasks.start_workflow("desk.tidy", wrong))
        assert end.type == "InvalidInput", wrong
    end = await end_of(await tasks.start_workflow("desk.tidy", {"what": "a"}, {"what": "b"}))
    assert end.type == "InvalidInput"
    deep: Any = 1
    for _ in range(240):
        deep = [deep]
    surrogate = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b'{"task": "\\ud800"}'))
    requests: list[list[Any]] = [[], [None], [1], [b"\x00"], [{"task": "desk.tidy"}, {}], [{}], [{"tsk": 1}]]
    requests += [
        [{"task": "a", "spec": {}}],
        [{"task": 3}],
        [surrogate],
        [{"task": "desk.tidy", "input": deep}],
    ]
    for wrong_request in requests:
        end = await end_of(await tasks.start_workflow("AgentTask", *wrong_request))
        assert end.type == ("TypeError" if len(wrong_request) > 1 else "InvalidInput"), wrong_request
    assert list(effects.effects()) == ["cup", "pen"]
