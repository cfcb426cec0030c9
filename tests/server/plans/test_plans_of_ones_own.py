"""Plans in a workflow of one's own: `Saga.plan`, `amend` and `undo`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import act
from counterstep.tests.support.tasks.workers import errand_worker


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


def op(id_: str, *after: str, tool: str = "desk.put", **arguments: Any) -> dict[str, Any]:
    return {"id": id_, "tool": tool, "input": {"what": id_, **arguments}, "after": list(after)}


async def errand(tasks: Tasks, *acts: dict[str, Any]) -> Any:
    return await end_of(await tasks.start_workflow("Errand", list(acts)))


async def test_an_amended_plan_undoes_exactly_what_changed(tasks: Tasks, effects: Desk) -> None:
    plan = [op("hotel"), op("dinner", "hotel"), op("train"), op("museum")]
    amended = [op("hotel"), op("dinner", "hotel", size=1), op("train"), op("boat")]
    end = await errand(tasks, {"plan": plan, "amend": amended})
    assert end.output == [{"hotel": "hotel", "dinner": "dinner", "train": "train", "boat": "boat"}]
    assert sorted(effects.effects()) == ["boat", "dinner", "hotel", "train"]
    assert sorted(effects.what("begin")) == ["boat", "dinner", "dinner", "hotel", "museum", "train"]
    assert sorted(effects.what("undone")) == ["dinner", "museum"]


async def test_one_operation_is_undone_by_its_name_and_done_again_by_the_next_plan(
    tasks: Tasks, effects: Desk
) -> None:
    plan = [op("hotel"), op("dinner", "hotel"), op("train")]
    end = await errand(tasks, {"plan": plan, "before": {"undo": "hotel"}, "amend": plan})
    assert end.type == "completed", end.message
    assert effects.what("undone") == ["dinner", "hotel"], "what comes after it is undone first"
    assert sorted(effects.what("begin")) == ["dinner", "dinner", "hotel", "hotel", "train"]


async def test_what_is_undone_is_not_among_the_outputs(tasks: Tasks, effects: Desk) -> None:
    plan = [op("hotel"), op("dinner", "hotel"), op("train"), {**op("map"), "tool": "desk.look"}]
    end = await errand(tasks, {"plan": plan, "before": {"undo": "hotel"}})
    assert end.type == "completed", end.message
    assert list(end.output[0]) == ["train", "map"]


async def test_what_the_saga_did_on_top_is_undone_with_it(tasks: Tasks, effects: Desk) -> None:
    amended = [op("hotel", size=1), op("train")]
    end = await errand(
        tasks, {"plan": [op("hotel"), op("train")], "before": act("put", "bill"), "amend": amended}
    )
    assert end.type == "completed", end.message
    assert effects.what("undone") == ["bill", "hotel"]
    assert sorted(effects.effects()) == ["hotel", "train"]


async def test_a_plan_that_cannot_be_run_is_refused_with_all_its_faults(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a", "z"), op("b", tool="desk.putt"), op("c", "b", tool="desk.take"), {**op("d"), "input": {}}]
    end = await errand(tasks, {"plan": plan})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "Rejected")
    for fault in (
        "'a' comes after 'z'",
        "b: the plan has no tool 'desk.putt'; did you mean 'desk.put'?",
        "c: the plan has no tool 'desk.take'",
        "d: desk.put cannot take",
    ):
        assert fault in end.message
    assert "'c' comes after" not in end.message, "b is in the plan"
    assert effects.events("begin") == []


async def test_everything_is_undone_with_the_saga(tasks: Tasks, effects: Desk) -> None:
    plan = [op("a"), op("b", "a"), op("c", "b", fail="final")]
    end = await errand(tasks, {"plan": plan})
    assert end.type == "SagaRolledBack"
    assert effects.effects() == {}
    assert effects.what("undone") == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"max_parallel": 0}, "max_parallel is a whole number from 1, or None, not 0"),
        ({"max_parallel": 1.5}, "max_parallel is a whole number from 1, or None, not 1.5"),
        ({"keep": "all"}, "keep is 'same' or 'closure', not 'all'"),
        ({"tools": ["desk.putt"]}, "this worker does not offer 'desk.putt'; did you mean 'desk.put'?"),
    ],
)
async def test_terms_that_cannot_be_are_refused_before_anybody_plans(
    tasks: Tasks, effects: Desk, terms: dict[str, Any], said: str
) -> None:
    end = await errand(tasks, {"plan": [op("a")], **terms})
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "DefinitionError")
    assert said in end.message
    assert effects.events() == []
