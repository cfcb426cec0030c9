"""G24 in bad hours: news while a planner thinks, an item fails, an undo is stuck; a cancel, a kill."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell, until_state

PLANNED = "${{ has(facts.plan) ? facts.plan : task.plan }}"

QUICK = {"initial": "1s", "factor": 1, "attempts": 20}


def op(id_: str, *after: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id_, "after": list(after), "input": {"what": id_, **arguments}}


def work(**keys: Any) -> list[dict[str, Any]]:
    held = "${{ has(facts.held) ? facts.held : '' }}"
    ops = {
        "id": "ops",
        "tool": "desk.put",
        "for_each": "steps.plan.output.items",
        "key": "item.id",
        "after": "item.after",
        "input": "${{ item.input }}",
        "retry": {"attempts": 1},
        **keys,
    }
    plan = {
        "id": "plan",
        "agent": "desk.planner",
        "timeout": "5s",
        "retry": QUICK,
        "input": {"items": PLANNED, "held": held},
    }
    return [plan, ops]


PLAN = [op("a"), op("hotel", "a", undo_delay=HELD), op("b"), op("end", "hotel", "b", delay=HELD)]


def with_another_hotel(**arguments: Any) -> list[dict[str, Any]]:
    return [op("hotel", "a", **arguments) if item["id"] == "hotel" else item for item in PLAN]


async def begun(
    tasks: Tasks, effects: Desk, plan: list[dict[str, Any]], **keys: Any
) -> WorkflowHandle[Any, Any]:
    handle = await tasks.start(work(**keys), {"plan": plan})
    await effects.until("begin", "end")
    return handle


async def test_two_pieces_of_news_while_the_planner_thinks(tasks: Tasks, effects: Desk) -> None:
    handle = await begun(tasks, effects, PLAN)
    await tell(handle, "amend", facts={"plan": [op("wrong"), *PLAN], "held": "thought"})
    await effects.until("plan", "wrong, a, hotel, b, end")
    changed = [op("b", size=1) if item["id"] == "b" else item for item in PLAN]
    await tell(handle, "amend", facts={"plan": [op("worse"), *PLAN]})
    await tell(handle, "amend", facts={"plan": changed, "held": ""})
    effects.release("thought", "end")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert Counter(effects.what("begin")) == {"a": 1, "hotel": 1, "b": 2, "end": 1}
    assert effects.what("undone") == ["b"]
    assert sorted(effects.effects()) == ["a", "b", "end", "hotel"]


@pytest.mark.parametrize("mends", [True, False])
async def test_news_while_an_item_fails(tasks: Tasks, effects: Desk, mends: bool) -> None:
    plan = [op("a"), op("b"), op("end", "a", delay=HELD, fail="before")]
    handle = await begun(tasks, effects, plan)
    last = op("end", "a") if mends else plan[-1]
    changed = [op("a"), op("b", size=1), last]
    await tell(handle, "amend", facts={"plan": changed, "held": "thought"})
    effects.release("end")
    await effects.until("plan", "a, b, end")
    effects.release("thought")
    end = await end_of(handle)
    assert end.type == ("completed" if mends else "SagaRolledBack"), end.message
    assert sorted(effects.effects()) == (["a", "b", "end"] if mends else [])
    assert Counter(effects.what("begin"))["a"] == 1


THINKS, UNDOES, DOES_AGAIN = "the planner thinks", "the hotel is undone", "the hotel is done again"
PHASES = pytest.mark.parametrize("phase", [THINKS, UNDOES, DOES_AGAIN])


async def come_to(phase: str, handle: WorkflowHandle[Any, Any], effects: Desk) -> None:
    """Brings a repair into the phase in which something is about to happen."""
    if phase != UNDOES:
        effects.release("undo hotel")
    changed = with_another_hotel(size=1, late=HELD if phase == DOES_AGAIN else 0)
    await tell(handle, "amend", facts={"plan": changed, "held": "thought" if phase == THINKS else ""})
    if phase == THINKS:
        await effects.until("plan", "a, hotel, b, end")
    elif phase == UNDOES:
        await effects.until("undo", "hotel")
    else:
        await effects.until("undone", "hotel")


def let_go(effects: Desk) -> None:
    effects.release("thought", "undo hotel", "hotel", "end")


@PHASES
async def test_a_cancel_in_the_middle_of_a_repair(tasks: Tasks, effects: Desk, phase: str) -> None:
    handle = await begun(tasks, effects, PLAN)
    await come_to(phase, handle, effects)
    await handle.cancel()
    let_go(effects)
    assert (await end_of(handle)).type == "cancelled"
    assert effects.effects() == {}
    keys = [event.key for event in effects.events("undone")]
    assert len(keys) == len(set(keys)), "nothing is undone twice"


@pytest.mark.slow
@PHASES
async def test_a_kill_in_the_middle_of_a_repair(
    server: EmbeddedServer, task_queue: str, effects: Desk, phase: str
) -> None:
    client = await Client.connect(server.address)
    with worker_process(server.address, task_queue) as worker:
        # What the worker was at is lost with it, and needs another attempt.
        handle = await begun(Tasks(client, task_queue), effects, PLAN, retry=QUICK)
        await come_to(phase, handle, effects)
        worker.kill()
    let_go(effects)
    with worker_process(server.address, task_queue):
        end = await end_of(handle)
    assert end.type == "completed", end.message
    assert sorted(effects.effects()) == ["a", "b", "end", "hotel"]
    done = Counter(event.what for event in effects.events("done"))
    assert (done["a"], done["b"]) == (1, 1), "what is kept is not called again"
    assert {event.what for event in effects.events("undone")} == {"hotel"}


@pytest.mark.parametrize("action", ["retry", "done", "skip"])
async def test_an_undo_of_a_repair_is_stuck(tasks: Tasks, effects: Desk, action: str) -> None:
    plan = [
        op("hotel", "a", undo="broken") if item["id"] == "hotel" else {**item, "input": {"what": item["id"]}}
        for item in PLAN
    ]
    plan[-1]["input"]["delay"] = HELD
    handle = await begun(tasks, effects, plan)
    await tell(handle, "amend", facts={"plan": with_another_hotel(size=1)})
    board = await until_state(handle, "needs_attention")
    (asked,) = board["waiting_for"]
    assert (asked["step"], asked["kind"]) == ("ops", "undo")
    assert "the undo of hotel fails" in asked["ask"]
    effects.repair("hotel")
    told = await tell(handle, "resolve", step="ops[hotel]", action=action, note="seen to it")
    assert told["undos"] == ["ops[hotel]#1"]
    effects.release("end")
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert Counter(effects.what("begin")) == {"a": 1, "hotel": 2, "b": 1, "end": 1}
    assert ("hotel" in effects.what("undone")) is (action == "retry")
