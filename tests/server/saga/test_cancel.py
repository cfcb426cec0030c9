"""G4, G5: a cancel at any moment undoes everything once, after the calls that it met have ended."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from counterstep.embedded import EmbeddedServer
from counterstep.saga.calls import call as call_module
from counterstep.tests.support.bundles.desk import HELD, Desk, Event
from counterstep.tests.support.histories.history import (
    CALL_COMPLETED,
    SIGNALED,
    TIMER_FIRED,
    TURN_COMPLETED,
    idle,
    until_asleep,
    until_event,
    until_heard,
    until_retry,
)
from counterstep.tests.support.tasks.tasks import End, Tasks, end_of, tell, until_state
from counterstep.tests.support.tasks.work import act, labelled, put, step
from counterstep.tests.support.tasks.workers import errand_worker, half_workers, is_trouble

CACHED_OR_EVICTED = pytest.mark.parametrize(
    "tasks",
    [pytest.param(1000, id="cached"), pytest.param(2, id="evicted", marks=pytest.mark.long)],
    indirect=True,
)


@pytest.fixture
async def tasks(
    request: pytest.FixtureRequest,
    server: EmbeddedServer,
    task_queue: str,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Tasks]:
    """A worker with the sagas and tools of this file; the parameter is how many workflows it caches."""
    cached = getattr(request, "param", 1000)
    async with errand_worker(server.address, task_queue, max_cached_workflows=cached) as tasks:
        yield tasks
    troubles = [record.message for record in caplog.get_records("call") if is_trouble(record)]
    assert not troubles, "workflow tasks failed, or workflows could not be evicted"


async def cancel(handle: WorkflowHandle[Any, Any], effects: Desk, *held: str) -> End:
    """Cancels a workflow; what is held is released once the workflow has heard of it."""
    await handle.cancel()
    await until_heard(handle)
    effects.release(*held)
    return await end_of(handle)


def assert_undone_once(effects: Desk, *whats: str, label: str = "") -> None:
    """Nothing is left, these were undone and nothing else, each once and after its call had ended."""

    def seen(*actions: str) -> list[Event]:
        return [event for event in effects.events(*actions) if event.what.startswith(label)]

    assert [what for what in effects.effects() if what.startswith(label)] == []
    for action in ("undo", "undone"):
        assert sorted(event.what for event in seen(action)) == sorted(whats)
    undos = {event.key: event.seq for event in seen("undo")}
    for event in seen("begin", "done", "interrupted"):
        assert event.seq < undos.get(event.key, 0), f"{event} came after its undo"
    assert seen("refused") == []


# --- one cancel, at each kind of moment


class Moment(NamedTuple):
    """A cancel that comes when `what` has been seen to do `action`; these have to be undone then.

    All of them have begun by then, `also` has been seen too, and what is held is so until after the cancel.
    """

    work: list[dict[str, Any]]
    action: str
    what: str
    undone: set[str]
    also: Callable[[WorkflowHandle[Any, Any]], Awaitable[None]] | None = None


RETRIED = {"attempts": 3, "initial": "1s", "max": "1s"}


IN_A_TASK = {
    "while a mutating call runs": Moment(
        [put("a"), put("b", "a", delay=HELD, late=0.3), put("c", "b")], "begin", "b", {"a", "b"}
    ),
    "while a mutating async call runs": Moment(
        [put("a"), step("b", "desk.put_async", "a", delay=HELD, late=0.3), put("c", "b")],
        "begin",
        "b",
        {"a", "b"},
    ),
    "while the last call runs": Moment([put("a"), put("b", "a", late=HELD)], "done", "b", {"a", "b"}),
    "between two attempts": Moment(
        [put("a"), {**put("b", "a", fail="once", delay=HELD), "retry": RETRIED}, put("c", "b")],
        "begin",
        "b",
        {"a", "b"},
        until_retry,
    ),
    "while siblings run": Moment(
        [put("a"), put("b", "a", delay=0.3), put("c", "a", delay=HELD), put("d", "b", "c")],
        "begin",
        "c",
        {"a", "b", "c"},
    ),
    "inside a for_each": Moment(
        [
            put("a"),
            {
                **put("each", "a", what="i${{ index }}", delay=f"${{{{ index < 2 ? 0.0 : {HELD} }}}}"),
                "for_each": "[1, 2, 3, 4, 5, 6]",
                "max_parallel": 2,
            },
        ],
        "begin",
        "i2",
        {"a", "i0", "i1", "i2", "i3"},
    ),
    "inside a group": Moment(
        [
            put("a"),
            {
                "id": "g",
                "needs": ["a"],
                "group": {"steps": [put("x"), put("y", "x", delay=HELD), put("z", "y")]},
                "on_failure": "skip",
            },
            put("b", "g"),
        ],
        "begin",
        "y",
        {"a", "x", "y"},
    ),
    "while a skipped step is undone": Moment(
        [
            put("a"),
            {**put("b", "a", fail="after", undo_delay=HELD), "on_failure": "skip"},
            put("c", "b"),
        ],
        "undo",
        "b",
        {"a", "b"},
    ),
    "before a fallback": Moment(
        [
            put("a"),
            {
                **put("b", "a", fail="after", undo_delay=HELD),
                "on_failure": {"fallback": "errands.put_instead"},
            },
        ],
        "undo",
        "b",
        {"a", "b"},
    ),
}

IN_A_SAGA = {
    "while a mutating call runs": Moment(
        [act("put", "a"), act("put", "b", delay=HELD, late=0.3), act("put", "c")], "begin", "b", {"a", "b"}
    ),
    "while a mutating async call runs": Moment(
        [act("put", "a"), act("put_async", "b", delay=HELD, late=0.3), act("put", "c")],
        "begin",
        "b",
        {"a", "b"},
    ),
    "while the last call runs": Moment(
        [act("put", "a"), act("put", "b", late=HELD)], "done", "b", {"a", "b"}
    ),
    "while a plain activity runs": Moment(
        [act("put", "a"), act("plain", "b", delay=HELD, late=0.3), act("put", "c")],
        "begin",
        "b",
        {"a", "b"},
    ),
    "while it sleeps": Moment(
        [act("put", "a"), {"sleep": 60}, act("put", "b")], "done", "a", {"a"}, until_asleep
    ),
    "while it gathers": Moment(
        [
            act("put", "a"),
            {"gather": [act("put", "b", delay=0.3), act("put_async", "c", delay=HELD), {"sleep": 60}]},
        ],
        "begin",
        "c",
        {"a", "b", "c"},
    ),
    "though the workflow swallows it": Moment(
        [act("put", "a"), {"swallow": act("put", "b", delay=HELD)}], "begin", "b", {"a", "b"}
    ),
    "while a failed call is undone": Moment(
        [act("put", "a"), {"catch": act("put", "b", fail="garbage", undo_delay=HELD)}, act("put", "c")],
        "undo",
        "b",
        {"a", "b"},
    ),
}


@CACHED_OR_EVICTED
async def test_a_task_cancelled_at_any_kind_of_moment(tasks: Tasks, effects: Desk) -> None:
    async def cancelled(label: str, moment: Moment) -> None:
        await check_cancelled(await tasks.start(labelled(moment.work, label)), effects, label, moment)

    await all_of(cancelled, IN_A_TASK)


@CACHED_OR_EVICTED
async def test_a_saga_cancelled_at_any_kind_of_moment(tasks: Tasks, effects: Desk) -> None:
    async def cancelled(label: str, moment: Moment) -> None:
        handle = await tasks.start_workflow("Errand", labelled(moment.work, label))
        await check_cancelled(handle, effects, label, moment)

    await all_of(cancelled, IN_A_SAGA)


async def check_cancelled(
    handle: WorkflowHandle[Any, Any], effects: Desk, label: str, moment: Moment
) -> None:
    undone = [f"{label}: {what}" for what in moment.undone]
    await effects.until(moment.action, f"{label}: {moment.what}")
    for what in undone:
        await effects.until("begin", what)
    if moment.also is not None:
        await moment.also(handle)
    end = await cancel(handle, effects, *undone, *(f"undo {what}" for what in undone))
    assert end.type == "cancelled", end
    assert_undone_once(effects, *undone, label=label)


async def all_of(check: Callable[[str, Moment], Awaitable[None]], moments: Mapping[str, Moment]) -> None:
    """Runs a check on all moments at once, and says which ones have failed."""
    results = await asyncio.gather(*(check(*item) for item in moments.items()), return_exceptions=True)
    failed = {label: error for label, error in zip(moments, results, strict=True) if error is not None}
    assert not failed, "\n".join(f"{label}: {error}" for label, error in failed.items())


async def test_the_undo_of_a_call_that_the_cancel_met_knows_its_output(tasks: Tasks, effects: Desk) -> None:
    both = [
        await tasks.start([put("a", delay=HELD, late=0.3)]),
        await tasks.start_workflow("Errand", [act("put_async", "b", delay=HELD, late=0.3)]),
    ]
    for what in ("a", "b"):
        await effects.until("begin", what)
    ends = await asyncio.gather(cancel(both[0], effects, "a"), cancel(both[1], effects, "b"))
    assert [end.type for end in ends] == ["cancelled"] * 2
    assert [json.loads(event.note)["output"] for event in effects.events("undo")] == [True, True]


async def test_a_read_only_call_is_interrupted_at_once(tasks: Tasks, effects: Desk) -> None:
    """The cancel does not wait for its end, nor for its worker to hear of it: it is held all the time."""
    looks = [
        put("a"),
        {"id": "b", "needs": ["a"], "tool": "desk.look", "input": {"what": "b", "delay": HELD}},
    ]
    both = [
        await tasks.start(looks),
        await tasks.start_workflow("Errand", [act("put", "c"), act("look", "d", delay=HELD)]),
    ]
    for what in ("b", "d"):
        await effects.until("look", what)
    try:
        async with asyncio.timeout(20):
            ends = await asyncio.gather(*(cancel(handle, effects) for handle in both))
    finally:
        effects.release("b", "d")
    assert [end.type for end in ends] == ["cancelled"] * 2
    assert_undone_once(effects, "a", "c")


@pytest.mark.parametrize("tool", ["put_interruptible", "put_stubbornly"])
async def test_an_interruptible_call_is_stopped_and_undone_once_it_has_ended(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    # A worker hears of a cancel with its next heartbeat.
    monkeypatch.setattr(call_module, "HEARTBEAT", timedelta(seconds=6))
    both = [
        await tasks.start([put("a"), step("b", f"errands.{tool}", "a", delay=50)]),
        await tasks.start_workflow("Errand", [act("put", "c"), act(tool, "d", delay=50)]),
    ]
    await effects.until("begin", "b")
    await effects.until("begin", "d")
    started = time.monotonic()
    ends = await asyncio.gather(*(cancel(handle, effects) for handle in both))
    assert time.monotonic() - started < 30
    assert [end.type for end in ends] == ["cancelled"] * 2
    assert_undone_once(effects, "a", "b", "c", "d")
    landed = ["a", "b", "c", "d"] if tool == "put_stubbornly" else ["a", "c"]
    assert sorted(effects.what("done")) == landed


# --- no moment is special


async def test_cancel_at_any_moment_leaves_all_or_nothing(tasks: Tasks, effects: Desk) -> None:
    async def one(seconds: float, kind: str) -> str:
        names = [f"{kind} {seconds} {number}" for number in range(4)]
        if kind == "task":
            steps = [put(f"s{i}", *([f"s{i - 1}"] if i else []), what=name) for i, name in enumerate(names)]
            steps[2] = {**steps[2], "tool": "desk.put_async"}
            handle = await tasks.start(steps)
        else:
            acts = [act("put_async" if i == 2 else "put", name) for i, name in enumerate(names)]
            handle = await tasks.start_workflow("Errand", acts)
        if math.isinf(seconds):
            await end_of(handle)
        else:
            await asyncio.sleep(seconds)
        with suppress(RPCError):  # it has ended
            await handle.cancel()
        end = (await end_of(handle)).type
        left = [name for name in effects.effects() if name in names]
        assert (end, left) in [("completed", names), ("cancelled", [])], f"{kind}, after {seconds} s"
        return end

    moments = [*(0.05 * i for i in range(12)), 1, 2, math.inf]
    ends = await asyncio.gather(*(one(moment, kind) for moment in moments for kind in ("task", "saga")))
    assert set(ends) == {"cancelled", "completed"}, "the moments reach from the start to the end"


async def test_a_task_cancelled_before_any_worker_has_seen_it(
    client: Client, server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    outside = Tasks(client, task_queue)
    handles = [await outside.start([put("a")]), await outside.start_workflow("Errand", [act("put", "b")])]
    for handle in handles:
        await handle.cancel()
    async with errand_worker(server.address, task_queue):
        assert [(await end_of(handle)).type for handle in handles] == ["cancelled"] * 2
    assert_undone_once(effects)


@pytest.mark.parametrize("first", ["cancel", "answer"])
async def test_a_cancel_and_an_answer_that_arrive_together(
    server: EmbeddedServer, task_queue: str, effects: Desk, first: str
) -> None:
    """What one workflow task brings together is a cancel all the same, whichever came first."""
    tools = ["desk.put", "desk.look", "errands.put_interruptible"]
    async with half_workers(server.address, task_queue) as halves:
        tasks = halves.tasks
        async with halves.workflows():
            handles = []
            for tool in tools:
                name = tool.partition(".")[2]
                handles += [
                    await tasks.start(
                        [
                            put("a", what=f"task {tool}"),
                            step("b", tool, "a", what=f"task b {tool}", delay=HELD),
                        ]
                    ),
                    await tasks.start_workflow(
                        "Errand", [act("put", f"saga {tool}"), act(name, f"saga b {tool}", delay=HELD)]
                    ),
                ]
            for kind in ("task", "saga"):
                await effects.until("begin", f"{kind} b desk.put")
                await effects.until("look", f"{kind} b desk.look")
                await effects.until("begin", f"{kind} b errands.put_interruptible")
        if first == "cancel":
            await asyncio.gather(*(handle.cancel() for handle in handles))
        effects.release(*(f"{kind} b {tool}" for kind in ("task", "saga") for tool in tools))
        await asyncio.gather(*map(idle, handles))
        if first == "answer":
            await asyncio.gather(*(handle.cancel() for handle in handles))
        async with halves.workflows():
            ends = await asyncio.gather(*map(end_of, handles))
    assert [end.type for end in ends] == ["cancelled"] * 6
    assert_undone_once(effects, *effects.what("done"))
    assert len(effects.what("done")) == 10


# --- more than one cancel


@pytest.mark.parametrize("kind", ["task", "saga"])
async def test_a_second_and_a_third_cancel_change_nothing(tasks: Tasks, effects: Desk, kind: str) -> None:
    if kind == "task":
        steps = [
            put("a"),
            put("b", "a", undo_delay=HELD),
            put("c", "b", late=HELD, undo_delay=HELD),
        ]
        handle = await tasks.start(steps)
    else:
        acts = [
            act("put", "a"),
            act("put", "b", undo_delay=HELD),
            act("put", "c", late=HELD, undo_delay=HELD),
        ]
        handle = await tasks.start_workflow("Errand", acts)
    await effects.until("done", "c")
    await handle.cancel()
    await until_heard(handle)
    effects.release("c")
    for what in ("c", "b"):
        await effects.until("undo", what)
        await handle.cancel()
        effects.release(f"undo {what}")
    assert (await end_of(handle)).type == "cancelled"
    assert effects.what("undone") == ["c", "b", "a"]
    assert_undone_once(effects, "a", "b", "c")


@pytest.mark.parametrize("kind", ["task", "saga"])
async def test_a_cancel_during_a_rollback_leaves_the_first_failure_the_cause(
    tasks: Tasks, effects: Desk, kind: str
) -> None:
    if kind == "task":
        steps = [put("a", undo_delay=HELD), put("b", "a", undo_delay=HELD), put("c", "b", fail="final")]
        handle = await tasks.start(steps)
    else:
        acts = [
            act("put", "a", undo_delay=HELD),
            act("put", "b", undo_delay=HELD),
            act("put", "c", fail="final"),
        ]
        handle = await tasks.start_workflow("Errand", acts)
    for what in ("b", "a"):
        await effects.until("undo", what)
        await handle.cancel()
        await until_heard(handle)
        effects.release(f"undo {what}")
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "Final"
    assert end.failure["step"] == ("c" if kind == "task" else "put_3")
    assert end.details["not_undone"] == []
    assert effects.what("undone") == ["c", "b", "a"]
    assert_undone_once(effects, "a", "b", "c")


@pytest.mark.parametrize("kind", ["task", "saga"])
async def test_a_cancel_whose_undo_fails_is_no_cancelled_task(tasks: Tasks, effects: Desk, kind: str) -> None:
    if kind == "task":
        steps = [put("a"), step("b", "errands.put_for_good"), put("c", "a", "b", late=HELD)]
        handle = await tasks.start(steps)
    else:
        acts = [act("put_for_good", "b"), act("put", "c", late=HELD)]
        handle = await tasks.start_workflow("Errand", acts)
    await effects.until("done", "c")
    await handle.cancel()
    await until_heard(handle)
    effects.release("c")
    await until_state(handle, "needs_attention")
    glued = "b" if kind == "task" else "put_for_good"
    await tell(handle, "resolve", step=glued, action="skip", note="it is glued")
    end = await end_of(handle)
    assert end.type == "SagaRollbackIncomplete"
    assert end.failure["type"] == "Cancelled"
    assert end.details["not_undone"] == [glued]
    assert list(effects.effects()) == ["b"]


# --- giving up on a call, or on its siblings, without a cancel


async def until_given_up(handle: WorkflowHandle[Any, Any], effects: Desk, what: str) -> None:
    """Waits until a workflow has done without a call that runs."""
    await effects.until("begin", what)
    await until_event(handle, TIMER_FIRED, TURN_COMPLETED)


async def test_a_call_that_a_workflow_gave_up_is_undone(tasks: Tasks, effects: Desk) -> None:
    given_up = {"within": 0.3, "do": act("put", "late", delay=HELD)}
    handle = await tasks.start_workflow("Errand", [given_up, act("put", "kept")])
    await until_given_up(handle, effects, "late")
    await effects.until("done", "kept")
    effects.release("late")
    end = await end_of(handle)
    assert end.type == "completed"
    assert end.output[0] == "too late"
    assert list(effects.effects()) == ["kept"]
    assert effects.what("undone") == ["late"]


async def test_a_call_that_was_given_up_and_landed_before_the_next_one_is_undone(
    tasks: Tasks, effects: Desk
) -> None:
    given_up = {"within": 0.3, "do": act("put", "late", delay=HELD)}
    acts = [given_up, act("put", "next", delay=HELD), act("put", "kept")]
    handle = await tasks.start_workflow("Errand", acts)
    await until_given_up(handle, effects, "late")
    effects.release("late")
    await until_event(handle, CALL_COMPLETED, TURN_COMPLETED)
    effects.release("next")
    end = await end_of(handle)
    assert end.type == "completed", end
    assert list(effects.effects()) == ["next", "kept"]
    assert effects.what("undone") == ["late"]


async def test_a_call_given_up_in_the_very_moment_of_its_answer_is_undone(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    async with half_workers(server.address, task_queue) as halves:
        async with halves.workflows():
            acts = [{"within": 1.5, "do": act("put", "late", delay=HELD)}]
            handle = await halves.tasks.start_workflow("Errand", acts)
            await effects.until("begin", "late")
        effects.release("late")
        await idle(handle)
        await until_event(handle, TIMER_FIRED)
        async with halves.workflows():
            end = await end_of(handle)
    assert end.type == "completed"
    assert list(effects.effects()) == ([] if end.output == ["too late"] else ["late"])


async def test_a_cancel_while_a_call_that_was_given_up_is_undone(tasks: Tasks, effects: Desk) -> None:
    given_up = {"within": 0.3, "do": act("put", "late", delay=HELD, undo_delay=HELD)}
    handle = await tasks.start_workflow("Errand", [act("put", "a"), given_up])
    await until_given_up(handle, effects, "late")
    effects.release("late")
    await effects.until("undo", "late")
    assert (await cancel(handle, effects, "undo late")).type == "cancelled"
    assert_undone_once(effects, "a", "late")


async def test_a_timeout_around_a_saga_waits_for_its_rollback(tasks: Tasks, effects: Desk) -> None:
    acts = [act("put", "a", undo_delay=HELD), act("put", "b", undo_delay=HELD), {"fail": "a bug"}]
    handle = await tasks.start_workflow("HastyErrand", acts)
    await effects.until("undo", "b")
    await handle.signal("hurry")
    await until_event(handle, SIGNALED, TURN_COMPLETED)
    effects.release("undo b", "undo a")
    assert (await end_of(handle)).type == "SagaRolledBack"
    assert_undone_once(effects, "a", "b")


@pytest.mark.parametrize("together", ["gather", "asyncio.gather", "asyncio.TaskGroup"])
async def test_when_one_of_several_calls_fails_the_others_end_first(
    tasks: Tasks, effects: Desk, together: str
) -> None:
    calls = [
        act("put", "a", delay=0.8),
        act("put", "b"),
        act("put", "c", delay=0.3, fail="final"),
        act("look", "d", delay=0.8),
    ]
    end = await end_of(await tasks.start_workflow("Errand", [{together: calls}]))
    assert end.type == "SagaRolledBack"
    assert end.failure == {"step": "put_3", "type": "Final", "message": "c failed for good"}
    assert sorted(effects.what("done")) == ["a", "b", "c"]
    assert_undone_once(effects, "a", "b", "c")
