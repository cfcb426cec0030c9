"""A measured timeout is the default one at first, and then what the worker's own calls have taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowHandle
from temporalio.worker import Replayer

from counterstep import Effect, Saga
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour
from counterstep.tests.support.bundles.agents import Happened, step, team, team_at_work
from counterstep.tests.support.bundles.desk import Desk, desk, look
from counterstep.tests.support.tasks.tasks import end_of

MEASURED = {"percentile": 50, "floor": "30s", "ceiling": "40s"}


async def test_calls_are_measured_and_a_task_begins_with_what_they_took(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    look = {"id": "look", "tool": "desk.look", "input": {"what": "x"}}
    often = {"for_each": f"{list(range(20))}"}
    async with team_at_work(server.address, task_queue, monkeypatch) as (tasks, models):
        models.for_model("writer").default = Behaviour.text("x")
        measured = [look | {"timeout": MEASURED}, step("writer", timeout=MEASURED, needs=["look"])]
        first = await tasks.start(measured)
        await end_of(first)
        assert await timeouts(first) == {"look#1": minute(), "writer/model.1#1": minute()}
        await tasks.run([look | often, step("writer") | often])
        second = await tasks.start(measured)
        assert (await end_of(second)).type == "completed"
        floor = timedelta(seconds=30)
        assert await timeouts(second) == {"look#1": floor, "writer/model.1#1": floor}
        before, after = await Happened.in_(first), await Happened.in_(second)
        assert (after.count, after.markers) == (before.count, before.markers), "it costs no event"
        assert '"settled":{' in after.text, "and is in the history of the task"


@activity.defn
async def measure(what: str) -> str:
    """An activity of the user's own."""
    return what


@workflow.defn(sandboxed=False)
class Measures:
    """Makes calls with measured timeouts, twice, and as many others before that as it is told."""

    @workflow.run
    async def run(self, times: int) -> None:
        """Makes them."""
        async with Saga() as saga:
            for number in range(times):
                step = f"before_{number}"
                await saga.call(look, what="x", step=step)
                await saga.call(measure, "x", effect=Effect.READ_ONLY, step=f"{step}_measure")
                await saga.call("team.writer", {"text": "x"}, step=f"{step}_write")
            for step in ("one", "two"):
                await saga.call(look, what="x", step=step, timeout=MEASURED)
                await saga.call(
                    measure, "x", effect=Effect.READ_ONLY, step=f"{step}_measure", timeout=MEASURED
                )
                await saga.call("team.writer", {"text": "x"}, step=f"{step}_write", timeout=MEASURED)


async def test_calls_of_a_saga_in_code_take_as_long_as_was_measured(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> None:
    own: dict[str, Any] = {"workflows": [Measures], "activities": [measure]}
    async with team_at_work(server.address, task_queue, monkeypatch, **own) as (tasks, models):
        models.for_model("writer").default = Behaviour.text("x")
        calls = [f"{step}{part}#1" for step in ("one", "two") for part in ("", "_measure", "_write/model.1")]
        for times, expected in ((0, minute()), (20, timedelta(seconds=30))):
            handle = await tasks.start_workflow("Measures", times)
            assert (await end_of(handle)).type == "completed"
            taken = await timeouts(handle)
            assert [taken[call] for call in calls] == [expected] * len(calls)
            text = (await Happened.in_(handle)).text
            assert text.count('"settled":{') == 3, "each is settled once, in the history of the workflow"
        await Replayer(workflows=[Measures], plugins=[CounterstepPlugin([desk, team])]).replay_workflow(
            await handle.fetch_history()
        )


def minute() -> timedelta:
    return timedelta(minutes=1)


async def timeouts(handle: WorkflowHandle[Any, Any]) -> dict[str, timedelta]:
    """How long one attempt of each activity may take."""
    events = [event async for event in handle.fetch_history_events()]
    scheduled = [event.activity_task_scheduled_event_attributes for event in events]
    return {one.activity_id: one.start_to_close_timeout.ToTimedelta() for one in scheduled if one.activity_id}
