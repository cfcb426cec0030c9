"""The worker of a team is killed in the middle: nothing is asked or done twice, and losers are undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.desk import VARIABLE, Desk
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, child_of, end_of
from counterstep.tests.support.tasks.work import put
from counterstep.tests.support.tasks.workers import errand_worker

MEMBERS = ["errands.patient", "errands.clerk"]


@pytest.fixture
def models(effects: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer.in_thread() as models:
        for name, value in {**models.environment, VARIABLE: str(effects.path)}.items():
            monkeypatch.setenv(name, value)
        yield models


def hanging(what: str, hang: str = "") -> Behaviour:
    return Behaviour.calls(call("put_hanging", what=what, hang=hang))


async def killed_while(
    server: EmbeddedServer, task_queue: str, effects: Desk, what: str, steps: list[dict[str, Any]]
) -> tuple[Tasks, WorkflowHandle[Any, Any]]:
    """Runs a task in a worker that is killed when a thing is on the desk and its call has not returned."""
    tasks = Tasks(await Client.connect(server.address), task_queue)
    with worker_process(server.address, task_queue) as process:
        handle = await tasks.start(steps)
        await effects.until("hang", what)
        process.kill()
        process.wait()
    return tasks, handle


@pytest.mark.slow
async def test_a_kill_in_the_call_of_a_loser(
    server: EmbeddedServer, task_queue: str, effects: Desk, models: ModelServer
) -> None:
    models.for_model("patient").reply(hanging("loser", "after"), Behaviour.text("no"))
    models.for_model("clerk").reply(hanging("winner")).default = Behaviour.text("yes!")
    best = {"pattern": "concurrent", "members": MEMBERS, "combine": "best", "score": "size(output)"}
    steps = [{"id": "w", "team": best, "input": {"what": "x"}}]
    _, handle = await killed_while(server, task_queue, effects, "loser", steps)
    async with errand_worker(server.address, task_queue):
        end = await end_of(handle)
    assert (end.type, end.output["w"]) == ("completed", "yes!")
    # An answer that was on its way when the worker was killed is asked for again, and no other.
    assert 4 <= models.count() <= 5
    assert list(effects.effects()) == ["winner"]
    assert effects.what("undone") == ["loser"]


@pytest.mark.slow
async def test_a_kill_in_the_child_in_which_a_team_goes_on(
    server: EmbeddedServer, task_queue: str, effects: Desk, models: ModelServer
) -> None:
    def answer(body: dict[str, Any]) -> Behaviour:
        told = [str(message.get("content")) for message in body["messages"] if message["role"] == "user"]
        said = json.loads(told[1].partition(": ")[2])["said"] if len(told) > 1 else ()
        turn = len(said) + 1
        if body["messages"][-1]["role"] == "tool":
            return Behaviour.text("x" * 210_000 if turn == 1 else f"t{turn}")  # more than one history takes
        return hanging(f"t{turn}", "after" if turn == 4 else "")

    models.default = answer
    chat = {"pattern": "group_chat", "members": MEMBERS, "done": "size(turns) == 5"}
    steps = [{"id": "w", "team": chat, "input": {"what": "x"}}, put("b", "w", fail="final")]
    tasks, handle = await killed_while(server, task_queue, effects, "t4", steps)
    async with errand_worker(server.address, task_queue):
        end = await end_of(handle)
    assert (end.type, end.failure["step"]) == ("SagaRolledBack", "b")
    child = await child_of(tasks, handle, "w/team.2#1").describe()
    assert child.status is WorkflowExecutionStatus.COMPLETED
    assert models.count() == end.details["usage"]["model_calls"] == 10
    assert effects.what("undone") == ["b", "t5", "t4", "t3", "t2", "t1"]
    assert effects.effects() == {}
