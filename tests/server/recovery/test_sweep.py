"""G10: all forced ends of a namespace are found, judged, and recovered when that is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from counterstep.cli.arguments.server_target import ServerTarget
from counterstep.cli.operations.sweep_namespace import SweepRow, sweep_namespace
from counterstep.client.search import SearchAttributesMissing
from counterstep.embedded import EmbeddedServer
from counterstep.saga.errors import ServerUnavailable
from counterstep.tests.support.bundles.desk import HELD, Desk
from counterstep.tests.support.histories.history import reset
from counterstep.tests.support.processes.command import Shop
from counterstep.tests.support.tasks.recovery import brief_worker, target_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_state
from counterstep.tests.support.tasks.work import put, step


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str) -> AsyncIterator[Tasks]:
    async with brief_worker(server.address, task_queue) as tasks:
        yield tasks


async def stopped(tasks: Tasks, effects: Desk, *steps: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    """A task that was terminated after its last step."""
    rest = step(
        f"rest_{len(effects.events('look'))}", "desk.look", *(step["id"] for step in steps), delay=HELD
    )
    handle = await tasks.start([*steps, rest])
    await effects.until("look", rest["id"])
    await handle.terminate()
    effects.release(rest["id"])
    return handle


async def swept(
    tasks: Tasks, *handles: WorkflowHandle[Any, Any], older_than: timedelta | None = None, act: bool = False
) -> list[SweepRow | None]:
    """What a sweep says of these tasks; it waits until the server's index knows all that has ended."""
    ids = [handle.id for handle in handles]
    for _ in range(100):
        found = await sweep_namespace(target_of(tasks.client), older_than, act=act)
        rows = {row.workflow_id: row for row in found}
        if older_than is not None or set(ids) <= rows.keys():
            return [rows.get(id_) for id_ in ids]
        await asyncio.sleep(0.1)
    raise AssertionError(f"{ids} are not all among {list(rows)}")


async def test_a_sweep_shows_and_does_nothing(tasks: Tasks, effects: Desk) -> None:
    handle = await stopped(tasks, effects, put("a"), put("b", "a"))
    (row,) = await swept(tasks, handle)
    assert row is not None
    assert (row.run_id, row.ended, row.left) == (handle.first_execution_run_id, "terminated", ("b", "a"))
    assert (row.why, row.recovery_id) == ("", None)
    assert row.closed is not None
    assert row.deleted is not None
    assert row.soon == (row.deleted - datetime.now(UTC) <= timedelta(days=1))
    assert list(effects.effects()) == ["a", "b"]


async def test_a_sweep_that_acts_recovers_each_once(tasks: Tasks, effects: Desk) -> None:
    handles = [await stopped(tasks, effects, put(name)) for name in ("a", "b")]
    rows = await swept(tasks, *handles, act=True)
    for handle, row in zip(handles, rows, strict=True):
        assert row is not None
        assert row.recovery_id == f"{handle.id}/recover/{handle.first_execution_run_id}"
        assert (await end_of(tasks.client.get_workflow_handle(row.recovery_id))).type == "completed"
    assert effects.effects() == {}
    again = await sweep_namespace(target_of(tasks.client), None, act=True)
    assert not {row.workflow_id for row in again} & {handle.id for handle in handles}
    assert sorted(effects.what("undo")) == ["a", "b"]


async def test_a_sweep_says_why_it_leaves_a_task_alone(tasks: Tasks, effects: Desk) -> None:
    handle = await tasks.start([put("a"), put("b", "a", delay=HELD), put("c", "b")])
    await effects.until("begin", "b")
    again = await reset(tasks.client, handle, calls=1)
    (row,) = await swept(tasks, handle, act=True)
    assert row is not None
    assert (row.run_id, row.left, row.recovery_id) == (again.run_id, (), None)
    assert "goes on in the run" in row.why
    effects.release("b")
    assert (await end_of(again)).type == "completed"
    (row,) = await swept(tasks, handle, act=True)
    assert row is not None
    assert "has completed" in row.why


async def test_a_recovery_that_was_ended_by_force_leads_to_its_task(tasks: Tasks, effects: Desk) -> None:
    handle = await stopped(tasks, effects, put("a", undo="broken"))
    (row,) = await swept(tasks, handle, act=True)
    assert row is not None
    assert row.recovery_id is not None
    recovery = tasks.client.get_workflow_handle(row.recovery_id)
    await until_state(recovery, "needs_attention")
    await recovery.terminate()
    effects.repair("a")
    (row,) = await swept(tasks, handle, act=True)
    assert row is not None
    assert row.left == ("a",)
    assert (await end_of(recovery)).type == "completed"
    assert effects.effects() == {}


async def test_what_has_ended_just_now_may_be_left_for_later(tasks: Tasks, effects: Desk) -> None:
    handle = await stopped(tasks, effects, put("a"))
    await swept(tasks, handle)
    assert await swept(tasks, handle, older_than=timedelta(hours=1)) == [None]
    assert [row.left for row in await swept(tasks, handle, older_than=timedelta()) if row] == [("a",)]


async def test_a_namespace_without_search_attributes_says_how_to_create_them(client: Client) -> None:
    name = f"bare-{uuid4().hex}"
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=3))
    await client.workflow_service.register_namespace(request)
    bare = ServerTarget({"target_host": client.service_client.config.target_host, "namespace": name})
    with pytest.raises(SearchAttributesMissing) as caught:
        await until_known(bare)
    assert f"search-attribute create --namespace {name} --name SagaTask --type Keyword" in str(caught.value)


async def until_known(target: ServerTarget) -> None:
    """Sweeps a namespace as soon as all parts of the server know it, which takes it some seconds."""
    for _ in range(150):
        try:
            await sweep_namespace(target, None, act=False)
        except (RPCError, ServerUnavailable):
            await asyncio.sleep(0.2)


async def test_the_commands(tasks: Tasks, effects: Desk, server: EmbeddedServer, tmp_path: Path) -> None:
    """As processes: what they print where, and what they exit with."""
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address)
    handle = await stopped(tasks, effects, put("a"), put("b", "a"))
    await swept(tasks, handle)
    found = await asyncio.to_thread(shop.run, "sweep", "--json", "--older-than", "1ms")
    assert found.code == 0
    assert [row["left"] for row in found.json if row["workflow_id"] == handle.id] == [["b", "a"]]
    assert handle.id in found.err
    assert str(handle.first_execution_run_id) in found.err
    assert "--yes" in found.err
    assert list(effects.effects()) == ["a", "b"]

    done = await asyncio.to_thread(shop.run, "recover", handle.id, "--json")
    assert done.code == 0, done.err
    assert done.json["state"] == "completed"
    assert done.json["undone"] == ["b", "a"]
    assert "b: is to be undone by desk.take_back" in done.err
    assert effects.effects() == {}

    other = await stopped(tasks, effects, put("c"))
    started = await asyncio.to_thread(shop.run, "recover", other.id, "--no-wait", "--json")
    assert (started.code, started.json["state"]) == (0, "running")
    await tasks.client.get_workflow_handle(started.json["recovery_id"]).result()
    assert effects.effects() == {}

    again = await asyncio.to_thread(shop.run, "recover", handle.id)
    assert again.code == 2
    assert "has completed" in again.err
    nonsense = await asyncio.to_thread(shop.run, "sweep", "--older-than", "soon")
    assert nonsense.code == 2


async def test_a_recovery_without_workers(
    server: EmbeddedServer, task_queue: str, effects: Desk, tmp_path: Path
) -> None:
    shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address)
    async with brief_worker(server.address, task_queue) as tasks:
        handle = await stopped(tasks, effects, put("a"))
    nobody = await asyncio.to_thread(shop.run, "recover", handle.id, "--task-queue", f"{task_queue}-nobody")
    assert nobody.code == 4
    assert f"--task-queue {task_queue}-nobody" in nobody.err
    gone = await asyncio.to_thread(shop.run, "recover", handle.id, "--address", "127.0.0.1:1")
    assert gone.code == 4
    assert list(effects.effects()) == ["a"]
