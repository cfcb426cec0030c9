"""What most tests share: one real Temporal server a session."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from temporalio.client import Client

from counterstep.embedded import EmbeddedServer
from counterstep.testing.server import temporal_server


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    with temporal_server() as server:
        yield server


@pytest.fixture
async def client(server: EmbeddedServer) -> Client:
    """A client without any plugin."""
    return await Client.connect(server.address)


@pytest.fixture
def task_queue(request: pytest.FixtureRequest) -> str:
    """A queue that only this test uses."""
    return f"{request.node.name}-{uuid4()}"
