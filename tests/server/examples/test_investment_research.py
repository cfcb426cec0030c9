"""The example `investment_research`: what stands in its database and its folder, however it ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.testing.explore import explore
from counterstep.tests.support.processes.demos import play_demo
from examples.investment_research import demo
from examples.investment_research.bundle import research
from examples.investment_research.store import ARCHIVE, CASE, REPORT, Store, store

pytestmark = pytest.mark.long


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("RESEARCH_FOLDER", str(tmp_path / "research"))
    return store("")


@pytest.fixture
async def client(server: EmbeddedServer, task_queue: str, database: Store) -> AsyncIterator[Client]:
    """A client whose tasks a worker of this test's own runs, played by the stand-in."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([research])])
    async with Worker(client, task_queue=task_queue):
        yield client


async def start(client: Client, task_queue: str, quarter: str) -> WorkflowHandle[Any, Any]:
    """Starts the research of three companies, of which the last has not filed anything."""
    given = {"quarter": quarter, "companies": 3}
    return await client.start_workflow(
        "research.quarter", given, id=f"research-{uuid4().hex}", task_queue=task_queue
    )


async def until_in_the_middle(database: Store, task: str) -> None:
    while True:
        if database.workplace.items(task, CASE):
            return
        await asyncio.sleep(0.02)


async def test_a_gap_is_told_and_a_late_fault_or_a_cancel_leaves_nothing(
    client: Client, task_queue: str, database: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await start(client, task_queue, "2026Q1")
    output = (await handle.result())["output"]
    assert sorted(output["best"]) == ["KABR", "LOBR"]
    why = "MIBR has not filed anything for 2025"
    assert output["not_covered"] == [{"ticker": "MIBR", "why": why}]
    items = database.workplace.items(handle.id)
    assert Counter(item.kind for item in items) == {"seat": 1, "case": 2, "report": 2, "note": 1}
    # The case of the company that was given up is closed again, and nobody else's.
    closed = "SELECT name FROM research_items WHERE kind = 'case' AND state = 'withdrawn'"
    assert [row.name for row in database.workplace.ask(closed)] == ["MIBR 2026Q1"]
    files = database.workplace.files()
    assert files == sorted(item.file for item in items if item.file)
    assert why in (database.workplace.read(output["note"]) or "")
    assert database.seats_taken() == 0

    monkeypatch.setenv(ARCHIVE, "down")
    late, stopped = await asyncio.gather(
        start(client, task_queue, "2026Q2"), start(client, task_queue, "2026Q3")
    )
    await until_in_the_middle(database, stopped.id)
    assert database.seats_taken() == 2
    await stopped.cancel()
    ends = await asyncio.gather(late.result(), stopped.result(), return_exceptions=True)
    causes = [end.cause for end in ends if isinstance(end, WorkflowFailureError)]
    assert [type(cause) for cause in causes] == [ApplicationError, CancelledError]
    written = "SELECT count(*) FROM research_items WHERE kind = :kind AND task = :task"
    assert database.workplace.ask(written, kind=REPORT, task=late.id)[0][0] == 2
    assert database.workplace.items(late.id) == database.workplace.items(stopped.id) == []
    assert database.workplace.files() == files
    assert database.seats_taken() == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_cell_of_two_companies_is_green(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESEARCH_FOLDER", str(tmp_path / "{task}"))
    report = await explore(
        demo.SPEC,
        bundles=["examples.investment_research.bundle:research"],
        effects="examples.investment_research.world:standing",
        input={"quarter": "2026Q1", "companies": 2},
    )
    assert report.ok, report.text()
    assert {"seat#1", "company[1]/report#1", "note#1"} <= {point.id for point in report.points}


@pytest.mark.slow
def test_the_demo_shows_rows_and_files_of_all_scenes(tmp_path: Path) -> None:
    played = play_demo("examples.investment_research.demo", tmp_path, "RESEARCH_")
    for scene in demo.SCENES:
        assert scene.proof in played.stdout
