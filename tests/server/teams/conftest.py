"""What most tests of teams run with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import team_at_work
from counterstep.tests.support.bundles.crew import crew
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks


@pytest.fixture
async def field(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk
) -> AsyncIterator[tuple[Tasks, ModelServer]]:
    """A worker of the teams of `crew`, whose members put things on the desk, and where their models are."""
    async with team_at_work(server.address, task_queue, monkeypatch, [desk, crew]) as shop:
        yield shop
