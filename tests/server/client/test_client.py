"""The client of tasks: once per id, typed boards and results, decisions, failures as exceptions."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.client import (
    Board,
    IdInUse,
    NoAnswer,
    NoWorker,
    Refused,
    Task,
    TaskCancelled,
    TaskClient,
    TaskEnded,
    TaskRefused,
    TaskRollbackIncomplete,
    TaskRolledBack,
    UnknownTask,
)
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.calls import unknown_names
from counterstep.saga.errors import SpecError
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks
from counterstep.tests.support.tasks.work import put, step

ASKS = {
    "name": "asks",
    "steps": [
        put("one"),
        {"id": "may_i", "needs": ["one"], "approve": {"ask": "May I?"}},
        put("two", "may_i"),
        {
            "id": "three",
            "needs": ["two"],
            "tool": "desk.look",
            "input": {"what": "${{ has(facts.what) ? facts.what : 'nothing' }}", "delay": HELD},
        },
    ],
}


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@dataclass
class Cup:
    what: str


@pytest.fixture
def id() -> str:
    return f"client-{uuid4()}"


@pytest.fixture
async def starter(client: Client, tasks: Tasks) -> TaskClient:
    """A client without any plugin; the worker is another one's."""
    return TaskClient(client, task_queue=tasks.task_queue)


async def until(task: Task, state: str) -> Board:
    """Waits for a state of the task; boards that nobody tells yet are waited for as well."""
    async with asyncio.timeout(60):
        while True:
            try:
                board = await task.board()
                if board.state == state:
                    return board
            except NoAnswer:
                pass
            await asyncio.sleep(0.02)


async def test_one_id_is_one_run_before_and_after_its_end(
    starter: TaskClient, effects: Desk, id: str
) -> None:
    starts = await asyncio.gather(*(starter.start("desk.tidy", Cup("cup"), id=id) for _ in range(5)))
    assert sorted(task.is_new for task in starts) == [False] * 4 + [True]
    assert len({task.run_id for task in starts}) == 1
    results = await asyncio.gather(*(task.result() for task in starts))
    assert {result.output["on_desk"] for result in results} == {"cup"}
    late = await starter.start("desk.tidy", {"what": "cup"}, id=id)
    assert (late.is_new, late.run_id) == (False, starts[0].run_id)
    assert (await late.result()).task == "desk.tidy"
    with pytest.raises(IdInUse, match="another input"):
        await starter.start("desk.tidy", {"what": "plate"}, id=id)
    assert list(effects.effects()) == ["cup"]


async def test_a_board_has_types(starter: TaskClient, effects: Desk) -> None:
    task = await starter.start("desk.tidy", {"what": "cup"})
    await task.result()
    board = await task.board(seconds=30)
    assert task.id.startswith("desk.tidy-")
    assert (board.task, board.task_id, board.state) == ("desk.tidy", task.id, "completed")
    place = board.steps["place"]
    assert (place.tool, place.state, place.attempts) == ("desk.put", "completed", 1)
    assert place.finished is not None and place.started is not None
    assert place.finished >= place.started
    assert [(entry.step, entry.compensation) for entry in board.ledger] == [("place", "desk.take_back")]
    assert board.log[0].n == 1
    assert board.usage.model_calls == 0


async def test_a_person_decides_amends_and_cancels(starter: TaskClient, effects: Desk, id: str) -> None:
    task = await starter.start(ASKS, id=id)
    (asked,) = (await until(task, "waiting")).waiting_for
    for value in (float("nan"), "x" * 3_000_000, object()):
        with pytest.raises(SpecError, match="decide"):
            await task.decide("may_i", "approve", by="ann", value=value)
    assert (asked.step, asked.ask, asked.update) == ("may_i", "May I?", "decide")
    with pytest.raises(Refused, match="maybe"):
        await task.decide("may_i", "maybe", by="ann")
    same = await starter.attach(id)
    await same.decide("may_i", asked.actions[0], by="ann", note="why not")
    async with asyncio.timeout(60):
        while (await task.board()).steps["three"].state != "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert await task.amend({"what": "spoon"}, by="ann") == ["three"]
    with pytest.raises(Refused):
        await task.resolve("one", "retry", by="ann")
    await task.cancel()
    with pytest.raises(TaskCancelled, match="cancelled") as caught:
        await task.result()
    assert caught.value.outcome.undone == ("two", "one")
    assert effects.effects() == {}
    await task.cancel()  # a second one changes nothing
    with pytest.raises(TaskEnded, match="takes no `decide` any more"):
        await task.decide("may_i", "approve", by="ann")


async def test_failures_are_exceptions_that_tell_all(
    starter: TaskClient, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_names, "PATIENCE", timedelta())
    spec = {"name": "fails", "steps": [put("one"), put("two", "one", fail="final")]}
    with pytest.raises(TaskRolledBack, match="step 'two'") as failed:
        await (await starter.start(spec)).result()
    assert failed.value.outcome.undone == ("two", "one")
    cases: list[tuple[str, Any, list[str], str]] = [
        ("desk.tidy", {}, ["input"], "'what' is missing"),
        ("desk.tydi", {}, [], "did you mean 'desk.tidy'"),
    ]
    for name, input, paths, message in cases:
        with pytest.raises(TaskRefused, match=message) as refused:
            await (await starter.start(name, input)).result()
        assert [fault.path for fault in refused.value.faults] == paths
    ended = await starter.start({"name": "held", "steps": [step("wait", "desk.look", delay=HELD)]})
    await until(ended, "running")
    await ended.handle.terminate("by force")
    with pytest.raises(TaskRollbackIncomplete, match="Terminated"):
        await ended.result()
    assert (await ended.board()).state == "rollback_incomplete"
    with pytest.raises(TaskEnded):
        await ended.cancel()


async def test_what_cannot_be_started_is_not(starter: TaskClient, id: str) -> None:
    for input, message in (
        ({"what": float("nan")}, "not a JSON number"),
        ({"what": "x" * 1_000_001}, "at most 1000000"),
        ({"what": "\ud800"}, "lone surrogate"),
        ({"what": object()}, "input: cannot become JSON"),
        ({"what": b"\xff"}, "input: cannot become JSON"),
        (ENDLESS, "input: cannot become JSON"),
    ):
        with pytest.raises(SpecError, match=message):
            await starter.start("desk.tidy", input, id=id)
    lacking = {
        "name": "lacking",
        "steps": [{"id": "a", "tool": "b.c", "input": {"what": "${{ task.gone }}"}}],
    }
    with pytest.raises(SpecError, match=r"task.gone is missing, and steps\[0\].input.what reads it"):
        await starter.start(lacking, {}, id=id)
    with pytest.raises(SpecError, match=r"steps\[0\]"):
        await starter.start({"name": "x", "steps": [{"id": "a", "tol": "b"}]}, id=id)
    empty: list[dict[str, Any]] = [{"id": ""}, {"id": " "}, {"id": id, "task_queue": ""}]
    for names in empty:
        with pytest.raises(SpecError, match="is empty"):
            await starter.start("desk.tidy", {"what": "cup"}, **names)
    with pytest.raises(UnknownTask, match="There is no task"):
        await starter.attach(id)


async def test_without_a_worker_nothing_is_sent_and_nothing_made_up(client: Client, task_queue: str) -> None:
    task = await TaskClient(client, task_queue=task_queue).start("desk.tidy", {"what": "cup"})
    with pytest.raises(NoAnswer, match="has told the board"):
        await task.board(seconds=0.5)
    board = await task.board(seconds=0.5, partial=True)
    assert (board.partial, board.state, board.task) == (True, "running", "desk.tidy")
    assert "has told the board" in str(board.partial_because)
    with pytest.raises(NoWorker, match="nothing was sent"):
        await task.decide("place", "approve", by="ann")
    await task.handle.terminate()


@pytest.mark.parametrize("request_", [{"spec": ASKS}, {"task": "desk.tidy", "input": {"what": "cup"}}])
async def test_specs_from_callers_need_the_workers_consent(
    server: EmbeddedServer, task_queue: str, effects: Desk, request_: dict[str, Any]
) -> None:
    """The same worker runs registered tasks, by name or through ``AgentTask``."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk])])
    starter = TaskClient(client, task_queue=task_queue)
    async with Worker(client, task_queue=task_queue):
        if "task" in request_:
            handle = await client.start_workflow(
                "AgentTask", request_, id=f"agent-task-{task_queue}", task_queue=task_queue
            )
            assert (await (await starter.attach(handle.id)).result()).output == {"on_desk": "cup"}
            return
        with pytest.raises(TaskRefused, match="COUNTERSTEP_INLINE_SPECS=true on the workers") as caught:
            await (await starter.start(request_["spec"])).result()
    assert caught.value.outcome.failure is not None
    assert caught.value.outcome.failure["type"] == "InlineSpecsRefused"
    assert effects.events() == []
