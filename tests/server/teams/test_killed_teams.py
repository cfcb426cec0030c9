"""Teams of every pattern whose only worker is killed in the middle: no answer is paid for twice."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import KEY
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.processes.worker_process import worker_process
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.workers import errand_worker
from counterstep.tests.support.teams.cast import Cast, calls_in
from counterstep.tests.support.teams.shapes import DELEGATES, SHAPES
from counterstep.tests.support.teams.team_stage import TeamStage


async def until_all_but_one_has_ended(handle: WorkflowHandle[Any, Any]) -> None:
    """Waits until nothing but the call that is held is under way."""
    while len((await handle.describe()).raw_description.pending_activities) > 1:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_kill_in_the_middle_of_a_team_pays_no_answer_twice(
    server: EmbeddedServer, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = f"killed-{uuid4()}"
    with ModelServer.in_thread() as models:
        for variable, value in {**models.environment, "OPENAI_API_KEY": KEY}.items():
            monkeypatch.setenv(variable, value)
        stage = TeamStage(Tasks(await Client.connect(server.address), queue), Cast(models), effects)
        begun = []
        with worker_process(server.address, queue) as process:
            for shape in (*SHAPES, DELEGATES):
                begun.append((shape, *await stage.start(shape.team, shape.most, held=shape.held)))
            for shape, handle, name in begun:
                await effects.until("done", f"{name} {shape.held}")
                await until_all_but_one_has_ended(handle)
            process.kill()
            process.wait()
        effects.release(*(f"{name} {shape.held}" for shape, _, name in begun))
        async with errand_worker(server.address, queue):
            ends = await asyncio.gather(*(end_of(handle) for _, handle, _ in begun))
    for (shape, _, name), end in zip(begun, ends, strict=True):
        assert (end.type, end.output) == ("completed", shape.verdict), shape.name
        assert stage.cast.count(name) == calls_in(shape.most), shape.name
        assert sorted(stage.standing(name)) == sorted(shape.stands), shape.name
        # The call that was under way was made again, under the key that it had.
        begins = [event for event in effects.events("begin") if event.what == f"{name} {shape.held}"]
        assert (len(begins), len({event.key for event in begins})) == (2, 1), shape.name
