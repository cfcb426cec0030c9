"""The page about process agents is followed: its bundle and its program, with a provider that is scripted."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.provider import ANSWER, provider
from counterstep.tests.support.pages.pages import ROOT
from counterstep.tests.support.pages.reading import Reading
from counterstep.tests.support.tasks.tasks import end_of

PAGE = ROOT / "docs" / "foreign" / "process-agents.md"


async def test_the_agent_of_the_page_books_and_its_booking_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer, task_queue: str
) -> None:
    reading = Reading(tmp_path, monkeypatch)
    with reading.files(PAGE), provider() as paid:
        paid.plan = (("book", {"city": "Rome"}),)
        for name, value in paid.environment.items():
            monkeypatch.setenv(name, value)
        bundle = importlib.import_module("travel").travel
        client = await Client.connect(server.address, plugins=[CounterstepPlugin([bundle])])
        async with Worker(client, task_queue=task_queue):
            handle = await client.start_workflow(
                "travel.clerk", {"wish": "Rome"}, id=task_queue, task_queue=task_queue
            )
            end = await end_of(handle)
        assert (end.type, end.output) == ("completed", ANSWER)
        assert bookings() == [{"city": "Rome"}]
    assert paid.turns == [0, 1]
    assert json.loads(paid.paid[0].body["messages"][0]["content"]) == {"wish": "Rome"}


def bookings() -> list[object]:
    """Returns what the bookings of the page hold."""
    return [json.loads(booked.read_text()) for booked in Path().glob("*.json")]
