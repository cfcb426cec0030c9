"""The example `content_pipeline`: what stands in its store, as rows and as files, however it ends."""

from __future__ import annotations

import asyncio
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
from examples.content_pipeline import demo
from examples.content_pipeline.bundle import content
from examples.content_pipeline.store import DRAFT, PAGE, SITE, Store, store

pytestmark = pytest.mark.long


@pytest.fixture
def contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CONTENT_FOLDER", str(tmp_path / "content"))
    return store("")


@pytest.fixture
async def client(server: EmbeddedServer, task_queue: str, contents: Store) -> AsyncIterator[Client]:
    """A client whose tasks a worker of this test's own runs, played by the stand-in."""
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([content])])
    async with Worker(client, task_queue=task_queue):
        yield client


async def asked(client: Client, task_queue: str, topic: str) -> WorkflowHandle[Any, Any]:
    """Starts a task, and returns it when it asks for the yes."""
    handle: WorkflowHandle[Any, Any] = await client.start_workflow(
        "content.article", {"topic": topic}, id=f"article-{uuid4().hex}", task_queue=task_queue
    )
    while True:
        board: dict[str, Any] = await handle.query("board")
        if board["waiting_for"]:
            (question,) = board["waiting_for"]
            assert question["ask"].startswith("Publish drafts/")
            return handle
        await asyncio.sleep(0.2)  # each query takes a turn of the worker


async def decide(handle: WorkflowHandle[Any, Any], action: str) -> None:
    (question,) = (await handle.query("board"))["waiting_for"]
    answer = {"step": "publish", "action": action, "by": "editor", "hash": question["hash"]}
    await handle.execute_update("decide", answer)


async def test_one_draft_is_kept_and_only_what_a_person_approves_is_published(
    client: Client, task_queue: str, contents: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    published, refused, late, stopped = await asyncio.gather(
        *(asked(client, task_queue, topic) for topic in ("lighthouses", "canals", "clocks", "comets"))
    )
    # The first version has copied the wrong year, and is gone.
    (draft,) = contents.workplace.items(published.id, DRAFT)
    drafts = [row[2:] for row in demo.look(contents, published.id) if row[0] == DRAFT]
    assert [state for _, state in drafts] == ["withdrawn", "standing"]
    assert [name for name in contents.workplace.files() if "drafts/lighthouses" in name] == [draft.file]
    text = contents.workplace.read(draft.file or "") or ""
    assert "1811" in text
    assert "1801" not in text
    assert contents.workplace.items(kind=PAGE) == []

    await decide(published, "approve")
    assert (await published.result())["output"] == {"url": "/lighthouses.html", "draft": draft.file}
    page = contents.workplace.read("site/lighthouses.html") or ""
    assert "first lit in 1811" in page
    assert "lighthouses.html" in (contents.workplace.read("site/index.html") or "")

    await decide(refused, "reject")
    monkeypatch.setenv(SITE, "down")
    await decide(late, "approve")
    await stopped.cancel()
    ends = await asyncio.gather(*(task.result() for task in (refused, late, stopped)), return_exceptions=True)
    causes = [end.cause for end in ends if isinstance(end, WorkflowFailureError)]
    assert [type(cause) for cause in causes] == [ApplicationError, ApplicationError, CancelledError]
    failed = [cause.details[0]["failure"] for cause in causes[:2] if isinstance(cause, ApplicationError)]
    assert [failure["type"] for failure in failed] == ["ApprovalDenied", "NotApplied"]
    for task in (refused, late, stopped):
        assert contents.workplace.items(task.id) == []
    assert [name for name in contents.workplace.files() if "lighthouses" not in name] == ["site/index.html"]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_cell_is_green(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENT_FOLDER", str(tmp_path / "{task}"))
    report = await explore(
        demo.SPEC,
        bundles=["examples.content_pipeline.bundle:content"],
        effects="examples.content_pipeline.world:standing",
        input={"topic": "lighthouses"},
    )
    assert report.ok, report.text()
    assert {"write#1", "publish#1"} <= {point.id for point in report.points} | {"write#1"}


@pytest.mark.slow
def test_the_demo_shows_rows_and_files_of_all_scenes(tmp_path: Path) -> None:
    played = play_demo("examples.content_pipeline.demo", tmp_path, "CONTENT_")
    for scene in demo.SCENES:
        assert scene.proof in played.stdout
