"""Public MCP servers at work: whatever goes wrong, files, branches and memory are as they were before."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.mcp_servers.booking_workers import forked_worker, working
from counterstep.tests.support.mcp_servers.public_servers import fill, servers, state
from counterstep.tests.support.processes.watching import alive, until
from counterstep.tests.support.tasks.tasks import Tasks, end_of

RELATION = {"from": "desk", "to": "lamp", "relationType": "carries"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "office")
    return tmp_path / "office"


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str, folder: Path) -> AsyncIterator[Tasks]:
    async with working(server.address, task_queue, servers(str(folder))) as tasks:
        yield tasks


def in_order(*calls: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps, each of which needs the one before: id, tool, input."""
    steps: list[dict[str, Any]] = []
    for name, tool, given in calls:
        needs = [steps[-1]["id"]] if steps else []
        steps.append({"id": name, "tool": tool, "input": given, "needs": needs})
    return steps


def in_git(folder: Path, *last: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    repo, notes = {"repo_path": str(folder)}, str(folder / "notes.md")
    return in_order(
        ("checkout", "git.git_checkout", {**repo, "branch_name": "draft"}),
        ("edit", "files.edit_file", {"path": notes, "edits": [{"oldText": "milk", "newText": "wine"}]}),
        ("rename", "files.move_file", {"source": notes, "destination": str(folder / "list.md")}),
        ("stage", "git.git_add", {**repo, "files": ["list.md"]}),
        *last,
    )


async def test_a_branch_files_and_the_index_are_changed_and_put_back(tasks: Tasks, folder: Path) -> None:
    before = state(folder)
    late = ("show", "git.git_show", {"repo_path": str(folder), "revision": "no-such-revision"})
    undone = await tasks.run(in_git(folder, late))
    assert undone.type == "SagaRolledBack"
    assert (undone.failure["step"], undone.failure["type"]) == ("show", "McpFailed")
    assert undone.details["undone"] == ["stage", "rename", "edit", "checkout"]
    assert state(folder) == before

    assert (await tasks.run(in_git(folder))).type == "completed"
    after = state(folder)
    assert after["head"].strip() == "refs/heads/draft"
    assert after["files"] == {"list.md": "wine\nbread\n"}
    assert "A  list.md" in after["status"]


def in_memory(*last: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    desk = {"name": "desk", "entityType": "thing", "observations": ["it is of oak"]}
    lamp = {"name": "lamp", "entityType": "thing", "observations": ["there already, so nothing happens"]}
    seen = {"entityName": "lamp", "contents": ["it is red", "it is on"]}
    return in_order(
        ("entities", "memory.create_entities", {"entities": [desk, lamp]}),
        ("relations", "memory.create_relations", {"relations": [RELATION]}),
        ("observations", "memory.add_observations", {"observations": [seen]}),
        *last,
    )


async def test_a_memory_forgets_what_a_task_has_added_and_nothing_else(tasks: Tasks, folder: Path) -> None:
    before = state(folder)
    unknown = {"observations": [{"entityName": "chair", "contents": ["it is gone"]}]}
    undone = await tasks.run(in_memory(("late", "memory.add_observations", unknown)))
    assert undone.type == "SagaRolledBack"
    assert undone.failure["message"].endswith("Entity with name chair not found")
    assert undone.details["undone"] == ["late", "observations", "relations", "entities"]
    assert state(folder) == before

    assert (await tasks.run(in_memory())).type == "completed"
    lamp, desk, relation = state(folder)["memory"]
    assert lamp["observations"] == ["it is red", "it is on"]
    assert (desk["name"], relation) == ("desk", {"type": "relation", **RELATION})


async def in_the_middle(tasks: Tasks, folder: Path) -> tuple[WorkflowHandle[Any, Any], int]:
    """Starts a task that stands still in a checkout: the branch is another one already, and nobody knows.

    Returns:
        The task, and the process id of the git server.
    """
    (folder / ".git" / "hold").touch()
    handle = await tasks.start(in_git(folder)[:1])
    await until((folder / ".git" / "held").exists)
    assert state(folder)["head"].strip() == "refs/heads/draft"
    return handle, int((folder / ".git" / "held").read_text())


async def test_a_server_that_is_killed_in_the_middle_of_a_checkout(tasks: Tasks, folder: Path) -> None:
    before = state(folder)
    handle, git = await in_the_middle(tasks, folder)
    os.kill(git, signal.SIGKILL)
    end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "McpFailed" and "it has ended with -9" in end.failure["message"]
    assert end.details["undone"] == ["checkout"]
    assert state(folder) == before


async def test_a_worker_that_is_killed_in_the_middle_of_a_checkout(
    server: EmbeddedServer, task_queue: str, client: Client, folder: Path, tmp_path: Path
) -> None:
    before = state(folder)
    maker = f"{servers.__module__}:servers"
    worker = await forked_worker(server.address, task_queue, maker, folder, tmp_path / "told")
    try:
        handle, git = await in_the_middle(Tasks(client, task_queue), folder)
    finally:
        worker.kill()
        worker.wait()
    await until(lambda: not alive(git))
    async with working(server.address, task_queue, servers(str(folder))):
        end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert "attempt 1 of git.git_checkout was lost" in end.failure["message"]
    assert end.details["undone"] == ["checkout"]
    assert state(folder) == before
