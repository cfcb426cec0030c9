"""G8: the keys that tools and undos are really given; their derivation is in ``test_idempotency.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.saga.ledger.idempotency import idempotency_key
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.histories.history import reset
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import act, put, step
from counterstep.tests.support.tasks.workers import errand_worker


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with errand_worker(server.address, task_queue) as tasks:
        yield tasks


def keys(effects: Desk, *actions: str) -> dict[str, list[str]]:
    """The keys of each thing, in the order in which they were seen."""
    found: dict[str, list[str]] = {}
    for event in effects.events(*actions):
        found.setdefault(event.what, []).append(event.key)
    return found


async def test_a_key_is_made_of_first_run_path_and_round(tasks: Tasks, effects: Desk) -> None:
    steps = [
        put("a"),
        {**put("each", what="i${{ index }}"), "for_each": "[7, 7]"},
        {"id": "g", "group": {"steps": [put("inside")]}},
        {**put("twice", fail="after"), "on_failure": {"fallback": "errands.put_instead"}},
    ]
    handle = await tasks.start(steps)
    assert (await end_of(handle)).type == "completed"
    run = handle.first_execution_run_id
    assert run is not None
    assert keys(effects, "begin") == {
        "a": [idempotency_key(run, "a", 1)],
        "i0": [idempotency_key(run, "each[0]", 1)],
        "i1": [idempotency_key(run, "each[1]", 1)],
        "inside": [idempotency_key(run, "g/inside", 1)],
        "twice": [idempotency_key(run, "twice", 1), idempotency_key(run, "twice", 2)],
    }
    assert keys(effects, "undo") == {"twice": [idempotency_key(run, "twice", 1)]}


async def test_a_key_is_the_same_in_every_attempt_and_in_the_undo(tasks: Tasks, effects: Desk) -> None:
    retried = {"attempts": 2, "initial": "100ms"}
    end = await tasks.run([{**put("a", fail="once"), "retry": retried}, put("b", "a", fail="final")])
    assert end.type == "SagaRolledBack"
    assert [event.attempt for event in effects.events("begin") if event.what == "a"] == [1, 2]
    first, second = keys(effects, "begin")["a"]
    assert first == second
    assert keys(effects, "undo") == {"a": [first], "b": keys(effects, "begin")["b"]}


async def test_two_tasks_have_no_key_in_common(tasks: Tasks, effects: Desk) -> None:
    for _ in range(2):
        await tasks.run([put("a")])
        await end_of(await tasks.start_workflow("Errand", [act("put", "a")]))
    assert len(set(keys(effects, "begin")["a"])) == 4


async def test_a_tool_knows_which_call_it_is(tasks: Tasks, effects: Desk) -> None:
    each = step("each", "errands.tell_step", what="w${{ index }}")
    handle = await tasks.start([{**each, "for_each": "[1]"}])
    run = handle.first_execution_run_id
    assert run is not None
    assert (await end_of(handle)).output["each"] == [
        {
            "idempotency_key": idempotency_key(run, "each[0]", 1),
            "task_id": handle.id,
            "step": "each",
            "attempt": 1,
        }
    ]
    saga = await tasks.start_workflow("Errand", [act("tell_step", what) for what in "xy"])
    run = saga.first_execution_run_id
    assert run is not None
    told = (await end_of(saga)).output
    assert [(one["task_id"], one["step"]) for one in told] == [
        (saga.id, "tell_step"),
        (saga.id, "tell_step_2"),
    ]
    assert [one["idempotency_key"] for one in told] == [
        idempotency_key(run, "tell_step", 1),
        idempotency_key(run, "tell_step_2", 1),
    ]


@pytest.mark.parametrize("kind", ["task", "saga"])
async def test_a_reset_repeats_a_call_under_its_key(
    tasks: Tasks, client: Client, effects: Desk, kind: str
) -> None:
    if kind == "task":
        handle = await tasks.start([put("a"), put("b", "a"), put("c", "b")])
    else:
        handle = await tasks.start_workflow("Errand", [act("put", what) for what in "abc"])
    assert (await end_of(handle)).type == "completed"
    before = keys(effects, "begin")
    again = await reset(client, handle, calls=1)
    assert (await end_of(again)).type == "completed"
    assert again.run_id != handle.first_execution_run_id
    after = keys(effects, "begin")
    assert after == {"a": before["a"], "b": before["b"] * 2, "c": before["c"] * 2}
    assert effects.effects() == {what: key for what, (key,) in before.items()}, "no effect came twice"
