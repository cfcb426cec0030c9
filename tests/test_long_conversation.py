"""Conversations that are too long for one history go on in a child workflow, and are undone as one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.saga import talk
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.agents import step, team_at_work
from counterstep.tests.support.desk import Desk
from counterstep.tests.support.tasks import Tasks

Team = tuple[Tasks, ModelServer]


@pytest.fixture
async def team(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[Team]:
    async with team_at_work(server.address, task_queue, monkeypatch) as parts:
        yield parts


async def test_smoke(team: Team, effects: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, models = team
    monkeypatch.setattr(talk, "MAX_TURNS", 3)
    n = 10
    models.for_model("tireless").reply(
        *[Behaviour.calls(call("put", what=f"t{i}")) for i in range(1, n)], Behaviour.json({"placed": ["x"]})
    )
    end = await tasks.run([step("tireless")])
    print(end)
    assert end.type == "completed"
    assert models.count() == n
    assert effects.what("done") == [f"t{i}" for i in range(1, n)]
