"""A measured timeout is the default one at first, and then what the worker's own calls have taken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_behaviour import Behaviour
from counterstep.tests.support.bundles.agents import Happened, step, team_at_work
from counterstep.tests.support.bundles.desk import Desk
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


def minute() -> timedelta:
    return timedelta(minutes=1)


async def timeouts(handle: WorkflowHandle[Any, Any]) -> dict[str, timedelta]:
    """How long one attempt of each activity may take."""
    events = [event async for event in handle.fetch_history_events()]
    scheduled = [event.activity_task_scheduled_event_attributes for event in events]
    return {one.activity_id: one.start_to_close_timeout.ToTimedelta() for one in scheduled if one.activity_id}
