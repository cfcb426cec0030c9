"""What the tests of events share: a worker that events start tasks on, and its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.client import TaskClient
from counterstep.embedded import EmbeddedServer
from counterstep.stock import stock
from counterstep.tests.support.events.parcels import VARIABLE, Rows, parcels
from counterstep.worker import stock_plugin


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """What the worker has written down."""
    path = tmp_path / "parcels.sqlite"
    monkeypatch.setenv(VARIABLE, str(path))
    return Rows(path)


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str, rows: Rows) -> AsyncIterator[TaskClient]:
    """Publishes; a worker of the parcels is there."""
    client = await Client.connect(server.address, plugins=[stock_plugin([parcels, stock])])
    async with Worker(client, task_queue=task_queue):
        # Who publishes has no plugin.
        yield TaskClient(await Client.connect(server.address), task_queue=task_queue)
