"""A worker whose pool has limits."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.bundles.agents import Limited, team_at_work
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks


@pytest.fixture
def limited(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, effects: Desk, tmp_path: Path
) -> Limited:
    """Runs a worker with these limits, and with options of Temporal's."""

    def run(limits: str, **options: Any) -> AbstractAsyncContextManager[tuple[Tasks, ModelServer]]:
        path = tmp_path / "limits.yaml"
        path.write_text(limits)
        return team_at_work(server.address, task_queue, monkeypatch, limits=path, **options)

    return run
