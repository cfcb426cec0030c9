"""G13 and G24 together: a plan whose history grows long goes on in a new run, and so does a change of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from counterstep.saga.limits import history_size
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, tell
from counterstep.tests.support.tasks.work import put


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories count as long after a few steps."""
    monkeypatch.setattr(history_size, "LONG_EVENTS", 40)


ALPHABET = "abcdefghijkl"
PLAN = {
    "id": "plan",
    "agent": "desk.planner",
    "input": {"items": "${{ has(facts.plan) ? facts.plan : task.plan }}"},
}
OPS = {
    "id": "ops",
    "tool": "desk.put",
    "for_each": "steps.plan.output.items",
    "key": "item.id",
    "after": "item.after",
    "input": "${{ item.input }}",
    "retry": {"attempts": 1},
}


def chain(**arguments: Any) -> list[dict[str, Any]]:
    """Operations one after the other; `arguments` are those of single ones."""
    return [
        {
            "id": id_,
            "after": list(ALPHABET[max(0, at - 1) : at]),
            "input": {"what": id_, **arguments.get(id_, {})},
        }
        for at, id_ in enumerate(ALPHABET)
    ]


async def runs_of(tasks: Tasks, id_: str) -> int:
    return len([run async for run in tasks.client.list_workflows(f'WorkflowId = "{id_}"')])


async def test_a_plan_pauses_between_its_items(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([PLAN, OPS, put("end", "ops")], {"plan": chain()})
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert await runs_of(tasks, handle.id) >= 2
    assert effects.what("begin") == [*ALPHABET, "end"], "each call was made once"
    assert effects.what("plan") == [", ".join(ALPHABET)]


@pytest.mark.parametrize("when", ["j", "end"])
async def test_a_change_keeps_what_earlier_runs_did(tasks: Tasks, effects: Desk, when: str) -> None:
    held = {when: {"delay": HELD}} if when != "end" else {}
    last = put("end", "ops", delay=HELD) if when == "end" else put("end", "ops")
    handle = await tasks.start([PLAN, OPS, last], {"plan": chain(**held)})
    await effects.until("begin", when)
    newest = tasks.client.get_workflow_handle(handle.id)
    await tell(newest, "amend", facts={"plan": chain(**held, c={"size": 1})})
    effects.release(when)
    end = await end_of(handle)
    assert end.type == "completed", end.message
    assert await runs_of(tasks, handle.id) >= 2
    again = {"c"} | ({"end"} if when == "end" else set())
    assert Counter(effects.what("begin")) == {what: 1 + (what in again) for what in [*ALPHABET, "end"]}
    assert sorted(effects.effects()) == sorted([*ALPHABET, "end"])


async def test_a_late_failure_undoes_the_plan_of_all_runs(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([PLAN, OPS, put("end", "ops", fail="final")], {"plan": chain()})
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert effects.what("undone") == ["end", *reversed(ALPHABET)]
    assert effects.effects() == {}
