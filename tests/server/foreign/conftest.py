"""What the tests of foreign agents share: a provider that counts, a worker, and effects as rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.provider import Provider, provider
from counterstep.tests.support.foreign.served import ORDERS, Orders, served
from counterstep.tests.support.foreign.travel import BOOKINGS, Bookings


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """A provider whom the workers of this process ask."""
    with provider() as played:
        for name, value in played.environment.items():
            monkeypatch.setenv(name, value)
        yield played


@pytest.fixture
def bookings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bookings:
    """The database of the bookings."""
    path = tmp_path / "bookings.sqlite"
    monkeypatch.setenv(BOOKINGS, str(path))
    return Bookings(path)


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orders:
    """The database of what is served."""
    monkeypatch.setenv(ORDERS, str(tmp_path / "orders.sqlite"))
    return Orders(tmp_path / "orders.sqlite")


@pytest.fixture
async def worker(server: EmbeddedServer, task_queue: str, orders: Orders) -> AsyncIterator[str]:
    """A worker of the bundle; its queue."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([served])])
    async with Worker(client, task_queue=task_queue):
        yield task_queue
