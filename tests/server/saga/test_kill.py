"""G2, G3, G5, G8, G11 when workers die: what was done is known, and what has to be done is done once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.saga.calls import call as call_module
from counterstep.saga.calls.timeouts_and_retries import GRACE, HEARTBEAT
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.desk import HELD, VARIABLE, Desk, Event
from counterstep.tests.support.histories.history import (
    CALL_COMPLETED,
    TIMER_FIRED,
    TURN_COMPLETED,
    events_of,
    idle,
    seconds_to_undo,
    until_asleep,
    until_event,
    until_retry,
)
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import End, Tasks, end_of
from counterstep.tests.support.tasks.work import act, labelled, put, step
from counterstep.tests.support.tasks.workers import errand_worker, is_trouble

# --- one night, in which the only worker is killed


class Work(NamedTuple):
    """Steps of a task, or acts of a saga; the kill waits for `what` to do `action`, and for `also`."""

    work: list[dict[str, Any]]
    action: str
    what: str = "a"
    also: Callable[[WorkflowHandle[Any, Any]], Awaitable[None]] | None = None


async def until_two_calls_completed(handle: WorkflowHandle[Any, Any]) -> None:
    await until_event(handle, CALL_COMPLETED, CALL_COMPLETED)


def hanging(id_: str, *needs: str, **arguments: Any) -> dict[str, Any]:
    return {**step(id_, "errands.put_hanging", *needs, **arguments), "retry": {"attempts": 2}}


def elsewhere(one: dict[str, Any]) -> dict[str, Any]:
    return {**one, "task_queue": "elsewhere"}


IN_TASKS = {
    "after the effect": Work([hanging("a", hang="after"), put("next", "a")], "hang"),
    "before the effect": Work([hanging("a", hang="before"), put("next", "a")], "hang"),
    "one of three items": Work(
        [
            {
                **hanging("each", what="i${{ index }}", hang="${{ index == 1 ? 'after' : 'nowhere' }}"),
                "for_each": "[1, 2, 3]",
            },
            put("next", "each"),
        ],
        "hang",
        "i1",
        until_two_calls_completed,
    ),
    "the only attempt": Work(
        [
            put("first"),
            {**hanging("a", "first", hang="after"), "timeout": "12s", "retry": {"attempts": 1}},
        ],
        "hang",
    ),
    "before the effect of an undo": Work(
        [hanging("a", hang="undo_before"), put("b", "a"), put("c", "b", fail="final")], "hang"
    ),
    "after the effect of an undo": Work(
        [hanging("a", hang="undo_after"), put("b", "a"), put("c", "b", fail="final")], "hang"
    ),
    "between two calls": Work([elsewhere(put("a", late=HELD)), put("next", "a")], "done"),
    "between two undos": Work(
        [
            elsewhere(put("first")),
            elsewhere(put("a", "first", undo_delay=HELD)),
            elsewhere(put("c", "a", fail="final")),
        ],
        "undo",
    ),
    "a model's tool call": Work(
        [{"id": "m", "agent": "errands.clerk", "input": {"what": "a"}}, put("next", "m")], "hang"
    ),
    "a model call": Work(
        [{"id": "m", "agent": "errands.clerk", "input": {"what": "a"}}, put("next", "m")], "ask"
    ),
}

IN_SAGAS = {
    "a saga after the effect": Work([act("put_hanging", "a", hang="after"), act("put", "next")], "hang"),
    "a saga asleep": Work([act("put", "a"), {"sleep": 12}, act("put", "next")], "done", also=until_asleep),
    "a saga in an undo": Work(
        [act("put_hanging", "a", hang="undo_before"), act("put", "b"), {"fail": "a bug"}], "hang"
    ),
    "a saga's only attempt": Work(
        [act("put", "first"), act("plain", "a", late=60, heartbeat=3, timeout=9)], "done"
    ),
}

IMPATIENT = {
    # It begins last, because it does not wait for the kill for long.
    "between attempts": Work(
        [
            {**put("a", fail="once"), "retry": {"attempts": 2, "initial": "12s", "max": "12s"}},
            put("next", "a"),
        ],
        "begin",
        also=until_retry,
    ),
}

WORK = {**IN_TASKS, **IN_SAGAS, **IMPATIENT}

BLOCKED = 11
"""Seconds: more than a heartbeat."""

# These have nothing to do with the kill: they run in another worker while the night is waited out.
MEANWHILE = {
    "a call that outlives its timeout": [
        put("a"),
        {
            **put("slow", "a", delay=HELD),
            "timeout": "1s",
            "retry": {"attempts": 2, "initial": "500ms", "max": "500ms"},
        },
    ],
    "calls beside one that blocks": [
        step("blocks", "errands.block", seconds=BLOCKED),
        put("waits", late=11),
        {**put("waits_too", late=2), "tool": "desk.put_async"},
    ],
    "a saga of plain activities": [
        {"gather": [act("plain", "threaded", late=11, thread=True), act("plain", "async", late=11)]}
    ],
}

ROLLED_BACK = {
    "a call that outlives its timeout",
    "the only attempt",
    "before the effect of an undo",
    "after the effect of an undo",
    "between two undos",
    "a saga in an undo",
    "a saga's only attempt",
}


class Night(NamedTuple):
    """What was left of the night.

    Attributes:
        ends: How each task ended.
        desk: What happened.
        histories: The history of each task.
        killed: When the worker was killed, as the desk's clock has it.
        asked: The requests that reached the model, each as text.
        troubles: What the log of the second worker says about failed workflow tasks.
    """

    ends: Mapping[str, End]
    histories: Mapping[str, Sequence[HistoryEvent]]
    desk: Desk
    killed: float
    asked: list[str]
    troubles: list[str]

    def events(self, label: str, what: str, *actions: str) -> list[Event]:
        return [event for event in self.desk.events(*actions) if event.what == f"{label}: {what}"]

    def attempts(self, label: str, what: str, action: str) -> list[int]:
        return [event.attempt for event in self.events(label, what, action)]

    def left(self, label: str) -> list[str]:
        """The things of one task that are on the desk."""
        here = [what.partition(": ") for what in self.desk.effects()]
        return [what for found, _, what in here if found == label]


@pytest.fixture(scope="module")
def night(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    path = tmp_path_factory.mktemp("night") / "desk.sqlite"
    with pytest.MonkeyPatch.context() as patch, ModelServer.in_thread() as models:
        for name, value in {**models.environment, VARIABLE: str(path)}.items():
            patch.setenv(name, value)
        yield asyncio.run(_night(server.address, Desk(path), models))


async def _night(address: str, desk: Desk, models: ModelServer) -> Night:
    models.for_model("clerk").default = lambda body: _clerk(body, models)
    queue = f"night-{uuid4()}"
    tasks = Tasks(await Client.connect(address), queue)
    with worker_process(address, queue) as process:
        async with errand_worker(address, f"{queue}-elsewhere") as elsewhere_tasks:
            handles = {}
            # Those that hang do so for a minute; of the others some have seconds, and so they come last.
            for hangs in (True, False):
                chosen = {k: w for k, w in WORK.items() if (w.action in ("hang", "ask")) is hangs}
                for label, work in chosen.items():
                    handles[label] = await _start(tasks, label, work.work)
                for label, work in chosen.items():
                    if work.action == "ask":
                        await _asked(models, f"{label}: {work.what}")
                    else:
                        await desk.until(work.action, f"{label}: {work.what}")
                    if work.also is not None:
                        await work.also(handles[label])
            process.kill()
            killed = time.time()
            process.wait()
            for label, document in MEANWHILE.items():
                handles[label] = await _start(elsewhere_tasks, label, document)
            desk.release("between two calls: a", "undo between two undos: a")
            await desk.until("undone", "between two undos: a")
            for label in ("between two calls", "between two undos"):
                await idle(handles[label])
            with _logged() as troubles:
                async with errand_worker(address, queue, max_cached_workflows=0):
                    await desk.until("undone", "a call that outlives its timeout: slow")
                    desk.release("a call that outlives its timeout: slow")
                    ends = await asyncio.gather(*map(end_of, handles.values()))
    histories = await asyncio.gather(*map(events_of, handles.values()))
    asked = [json.dumps(request.body) for request in models.requests]
    return Night(
        dict(zip(handles, ends, strict=True)),
        dict(zip(handles, histories, strict=True)),
        desk,
        killed,
        asked,
        troubles,
    )


async def _start(tasks: Tasks, label: str, work: list[dict[str, Any]]) -> WorkflowHandle[Any, Any]:
    document = labelled(work, label)
    if label.startswith("a saga"):
        return await tasks.start_workflow("Errand", document)
    for one in document:
        if "task_queue" in one:
            one["task_queue"] = f"{tasks.task_queue}-elsewhere"
    return await tasks.start(document)


def _clerk(body: dict[str, Any], models: ModelServer) -> Behaviour:
    """Puts one thing on the desk; of two tasks, the second one's first request is never answered."""
    said = json.dumps(body["messages"])
    if "a model call: a" in said:
        asked = sum("a model call: a" in json.dumps(request.body) for request in models.requests)
        return Behaviour.hang(60) if asked == 1 else Behaviour.text("done")
    if any(message["role"] == "tool" for message in body["messages"]):
        return Behaviour.text("done")
    return Behaviour.calls(call("put_hanging", what="a model's tool call: a", hang="after"))


async def _asked(models: ModelServer, what: str) -> None:
    deadline = time.monotonic() + 60
    while not any(what in json.dumps(request.body) for request in list(models.requests)):
        assert time.monotonic() < deadline, f"no model was asked about {what}"
        await asyncio.sleep(0.02)


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Collects the troubles that are logged meanwhile."""
    troubles: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if is_trouble(record):
                troubles.append(record.getMessage())

    collector = Collector()
    logging.getLogger().addHandler(collector)
    try:
        yield troubles
    finally:
        logging.getLogger().removeHandler(collector)


def test_another_worker_takes_every_task_to_its_end(night: Night) -> None:
    for label, end in night.ends.items():
        assert end.type == ("SagaRolledBack" if label in ROLLED_BACK else "completed"), f"{label}: {end}"
        if label in ROLLED_BACK:
            assert night.left(label) == [], label
            assert end.details["not_undone"] == [], label
    assert night.troubles == [], "workflow tasks failed, or workflows could not be evicted"


@pytest.mark.parametrize("label", ["after the effect", "a saga after the effect"])
def test_a_call_killed_after_its_effect_runs_again_under_its_key(night: Night, label: str) -> None:
    first, second = night.events(label, "a", "done")
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.at < night.killed < second.at
    assert first.key == second.key
    assert night.left(label) == ["a", "next"], "the effect is there once"


def test_a_call_killed_before_its_effect_runs_again(night: Night) -> None:
    assert night.attempts("before the effect", "a", "hang") == [1]
    assert night.attempts("before the effect", "a", "done") == [2]
    assert night.left("before the effect") == ["a", "next"]


def test_the_next_step_starts_soon_after_a_kill(night: Night) -> None:
    waits = {}
    for label in ("after the effect", "before the effect", "a saga after the effect"):
        (started,) = night.events(label, "next", "begin")
        waits[label] = round(started.at - night.killed, 2)
    print(f"seconds from kill -9 to the next step's start: {waits}")
    # A heartbeat of 10 s and the machine's own haste: without it a call would be given up after 60 s.
    assert max(waits.values()) < HEARTBEAT.total_seconds() + 20


def test_of_three_items_only_the_one_that_was_killed_runs_again(night: Night) -> None:
    attempts = {what: night.attempts("one of three items", what, "done") for what in ("i0", "i1", "i2")}
    assert attempts == {"i0": [1], "i1": [1, 2], "i2": [1]}
    keys = {
        event.key for event in night.desk.events("done") if event.what.startswith("one of three items: i")
    }
    assert len(keys) == 3


def test_waiting_goes_on_with_another_worker(night: Night) -> None:
    (_, second) = night.events("between attempts", "a", "begin")
    assert second.attempt == 2
    assert second.at > night.killed
    (woken,) = night.events("a saga asleep", "next", "begin")
    assert woken.at > night.killed
    assert night.attempts("a saga asleep", "a", "done") == [1]


def test_what_ended_while_no_worker_ran_workflows_is_not_repeated(night: Night) -> None:
    (call_,) = night.events("between two calls", "a", "begin")
    assert call_.at < night.killed
    assert night.left("between two calls") == ["a", "next"]
    (undo,) = night.events("between two undos", "a", "undo")
    (undone,) = night.events("between two undos", "a", "undone")
    assert undo.at < night.killed < undone.at
    assert night.attempts("between two undos", "c", "undo") == [1]
    (first,) = night.events("between two undos", "first", "undo")
    assert first.at > undone.at


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_undo_that_was_killed_runs_again_and_finished_ones_do_not(night: Night, when: str) -> None:
    label = f"{when} the effect of an undo"
    for what in ("b", "c"):
        assert night.attempts(label, what, "undo") == [1]
        (undone,) = night.events(label, what, "undone")
        assert undone.at < night.killed
    undone_in = [2] if when == "before" else [1, 2]
    assert night.attempts(label, "a", "undone") == undone_in
    assert len({event.key for event in night.events(label, "a")}) == 1


def test_a_saga_in_an_undo_goes_on(night: Night) -> None:
    assert night.attempts("a saga in an undo", "b", "undo") == [1]
    assert night.attempts("a saga in an undo", "a", "undone") == [2]
    assert night.ends["a saga in an undo"].failure["message"] == "a bug"


@pytest.mark.parametrize(
    ("label", "path", "timeout"),
    [("the only attempt", "a", 12), ("a saga's only attempt", "a saga's only attempt: a", 9)],
)
def test_a_call_that_vanished_is_undone_when_it_can_no_longer_land(
    night: Night, label: str, path: str, timeout: int
) -> None:
    """The server takes the call for dead after a heartbeat; its worker might only have been cut off."""
    (undo,) = night.events(label, "a", "undo")
    assert seconds_to_undo(night.histories[label], path) >= timeout + GRACE.total_seconds()
    assert json.loads(undo.note)["output"] is False
    assert night.ends[label].failure["type"] == "Timeout"


def test_an_answer_that_reached_history_is_not_paid_for_again(night: Night) -> None:
    asked = [text for text in night.asked if "a model's tool call: a" in text]
    assert len(asked) == 2, "one request a turn"
    assert night.attempts("a model's tool call", "a", "done") == [1, 2]
    assert night.left("a model's tool call") == ["a", "next"]
    usage = night.ends["a model's tool call"].details["usage"]
    assert usage["model_calls"] == 2


def test_a_model_call_without_an_answer_is_made_again(night: Night) -> None:
    assert sum("a model call: a" in text for text in night.asked) == 2
    assert night.ends["a model call"].details["usage"]["model_calls"] == 2, "every request counts"


def test_a_call_that_outlives_its_timeout_lands_before_its_undo_or_not_at_all(night: Night) -> None:
    label = "a call that outlives its timeout"
    assert sorted(night.attempts(label, "slow", "begin")) == [1, 2]
    assert seconds_to_undo(night.histories[label], "slow") >= 1 + GRACE.total_seconds()
    (undone,) = night.events(label, "slow", "undone")
    for landed in night.events(label, "slow", "done"):
        assert landed.seq < undone.seq
    assert 2 in night.attempts(label, "slow", "refused")


def test_code_that_blocks_its_loop_does_not_cost_other_calls_their_heartbeats(night: Night) -> None:
    label = "calls beside one that blocks"
    (blocked,) = night.events(label, "blocks", "block")
    for what in ("waits", "waits_too"):
        assert night.attempts(label, what, "begin") == [1]
    (waited,) = night.events(label, "waits", "begin")
    assert abs(waited.at - blocked.at) < BLOCKED, "they ran side by side"


# --- heartbeats


def test_a_plain_activity_in_a_thread_has_heartbeats_and_stops_nobody_elses(night: Night) -> None:
    for what in ("threaded", "async"):
        assert night.attempts("a saga of plain activities", what, "begin") == [1]


@pytest.mark.parametrize("seconds", [0, 1.5])
async def test_a_tool_may_send_heartbeats_of_its_own(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Its details reach the next attempt, though ours are sent after them."""
    monkeypatch.setattr(call_module, "HEARTBEAT", timedelta(seconds=3))
    counting = {**step("c", "errands.count", seconds=seconds), "retry": {"attempts": 2, "initial": "100ms"}}
    async with errand_worker(server.address, task_queue) as tasks:
        end = await tasks.run([counting])
    assert end.output == {"c": ["c"]}, end


# --- a worker that stops in order


async def test_a_worker_that_stops_in_order_lets_its_calls_finish(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    steps = [put("a", late=0.8), {**put("b", late=0.8), "tool": "desk.put_async"}, put("c", "a", "b")]
    grace = timedelta(seconds=10)
    async with errand_worker(server.address, task_queue, graceful_shutdown_timeout=grace) as tasks:
        handle = await tasks.start(steps)
        for what in ("a", "b"):
            await effects.until("done", what)
    async with errand_worker(server.address, task_queue):
        end = await end_of(handle)
    assert end.type == "completed"
    assert sorted(effects.what("begin")) == ["a", "b", "c"], "nothing ran twice"


# --- a worker that remembers nothing

CHECKED = [{"rule": "output.what != ''"}, {"check": "desk.agree"}, {"check": "desk.agree_fast"}]

SHAPES: dict[str, tuple[list[dict[str, Any]], str, set[str]]] = {
    "task": (
        [
            {**put("a"), "validate": CHECKED},
            {**put("b", "a", what="b${{ index }}"), "for_each": "[1, 2, 3]", "max_parallel": 2},
            {"id": "g", "needs": ["b"], "group": {"steps": [put("c"), put("d", "c")]}},
            {**put("e", "g", fail="after"), "on_failure": "skip"},
            {**put("f", "e", fail="after"), "on_failure": {"fallback": "errands.put_instead"}},
        ],
        "completed",
        {"a", "b0", "b1", "b2", "c", "d", "f"},
    ),
    "task that fails": (
        [put("a"), put("b", "a"), put("c", "a", delay=0.3), put("d", "b", "c", fail="final")],
        "SagaRolledBack",
        set(),
    ),
    "saga": (
        [
            act("put", "a"),
            {"sleep": 0.1},
            {"gather": [act("put", "b"), act("put_async", "c", delay=0.3), act("plain", "d")]},
            {"catch": act("put", "e", fail="garbage")},
            {"within": 0.1, "do": act("put", "f", delay=HELD)},
        ],
        "completed",
        {"a", "b", "c", "d"},
    ),
    "saga that fails": (
        [
            act("put", "a"),
            {"gather": [act("put", "b"), act("put", "c", delay=0.5), act("put", "d", fail="final")]},
        ],
        "SagaRolledBack",
        set(),
    ),
    "saga with a bug": ([act("put", "a"), act("put", "b"), {"fail": "a bug"}], "SagaRolledBack", set()),
}


@pytest.mark.usefixtures("unhurried_checks")
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_task_does_the_same_without_a_cache(
    server: EmbeddedServer, task_queue: str, effects: Desk, caplog: pytest.LogCaptureFixture, shape: str
) -> None:
    """The workflow is evicted after each of its workflow tasks, and replayed for the next one."""
    work, expected, left = SHAPES[shape]
    async with errand_worker(server.address, task_queue, max_cached_workflows=0) as tasks:
        start = tasks.start(work) if shape.startswith("task") else tasks.start_workflow("Errand", work)
        handle = await start
        if shape == "saga":
            await effects.until("begin", "f")
            await until_event(handle, TIMER_FIRED, TIMER_FIRED, TURN_COMPLETED)
            effects.release("f")
        end = await end_of(handle)
    assert end.type == expected, end
    assert set(effects.effects()) == left
    for action in ("begin", "undo"):
        keys = [event.key for event in effects.events(action)]
        assert len(set(keys)) == len(keys), "every call and every undo ran once"
    assert [record.getMessage() for record in caplog.records if is_trouble(record)] == []
