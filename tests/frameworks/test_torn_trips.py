"""The programs of the pages on frameworks, killed and cancelled: with a saga, and as they were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterstep.embedded import EmbeddedServer
from counterstep.testing.model_server import ModelServer
from counterstep.tests.support.frameworks.trips import TRIPS, TripWorker, travel_agent
from counterstep.tests.support.pages.pages import ROOT
from counterstep.tests.support.pages.reading import Reading

ADAPTERS = ROOT / "docs" / "adapters"
PAGES = {"openai_agents": "openai-agents.md", "pydantic_ai": "pydantic-ai.md", "langgraph": "langgraph.md"}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer.in_thread() as model:
        model.default = travel_agent
        for name, value in model.environment.items():
            monkeypatch.setenv(name, value)
        yield model


@pytest.mark.parametrize("framework", PAGES)
@pytest.mark.usefixtures("model")
async def test_trips_that_are_torn_off_leave_nothing_with_a_saga(
    framework: str,
    server: EmbeddedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BOOKINGS", str(tmp_path / "bookings.sqlite"))
    reading = Reading(tmp_path, monkeypatch, server.address)
    with reading.files(ADAPTERS / "index.md"), reading.files(ADAPTERS / PAGES[framework]):
        workers = [TripWorker(server.address, framework, module, tmp_path) for module in ("before", "after")]
        before, after = await asyncio.gather(*(worker.torn_off() for worker in workers))
    with capsys.disabled():
        for how in before:
            print(f"\n{framework}, {how}, as it was:   {before[how]}")
            print(f"{framework}, {how}, with a saga: {after[how]}")
    assert after["killed"].orphans == after["cancelled"].orphans == 0
    assert TRIPS / 2 <= after["killed"].completed < TRIPS and after["cancelled"].completed < TRIPS
    assert before["killed"].orphans > 0 and before["cancelled"].orphans > 0
