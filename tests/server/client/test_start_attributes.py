"""A task is found by its name and its state from its start on, before a worker has taken it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.worker import Worker

from counterstep.cli.operations.list_tasks import TaskRow, list_rows
from counterstep.cli.operations.sweep_namespace import sweep_namespace
from counterstep.client import Task, TaskClient
from counterstep.client.first_workflow_task import has_begun
from counterstep.client.start_once import start_once
from counterstep.embedded import EmbeddedServer, lifecycle
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from counterstep.testing.server import temporal_server
from counterstep.tests.support.bundles.desk import HELD, Desk, desk
from counterstep.tests.support.histories.history import reset
from counterstep.tests.support.tasks.recovery import target_of
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.tasks.work import put, step

NOBODY = "nobody-polls-this-either"
UPSERT: Final = "upsert_workflow_search_attributes_event_attributes"


def spec(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "found", "steps": list(steps), **more}


async def attributes_of(handle: WorkflowHandle[Any, Any]) -> tuple[str | None, str | None]:
    found = (await handle.describe()).typed_search_attributes
    return found.get(SAGA_TASK), found.get(SAGA_STATE)


async def states_written(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """The states that the workflow itself has written, in order."""
    history = await handle.fetch_history()
    fields = [
        getattr(event, UPSERT).search_attributes.indexed_fields
        for event in history.events
        if event.HasField(UPSERT)
    ]
    return [field[SAGA_STATE.name].data.decode().strip('"') for field in fields]


async def listed(client: Client, task: Task, *states: str) -> list[TaskRow]:
    """What ``counterstep list`` shows of a task, as soon as the server's index has come so far."""
    query = f'WorkflowId = "{task.id}"'
    async with asyncio.timeout(30):
        while True:
            rows, _ = await list_rows(target_of(client), states=states, task=None, query=query, limit=5)
            if rows:
                return rows
            await asyncio.sleep(0.1)


async def until_indexed(client: Client, query: str) -> None:
    """Waits until the server's index has something that matches."""
    for _ in range(300):
        if [found async for found in client.list_workflows(query)]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"nothing matches {query}")


async def test_a_task_that_no_worker_has_taken_is_listed(client: Client) -> None:
    task = await TaskClient(client, task_queue=NOBODY).start("shop.order", {"sku": "A"})
    assert await attributes_of(task.handle) == ("shop.order", "running")
    (row,) = await listed(client, task, "running")
    assert (row.task, row.state, row.status) == ("shop.order", "running", "running")
    assert not await has_begun(client, task.id, row.run_id)
    await task.handle.terminate()


async def test_what_was_said_at_the_start_is_not_written_again(tasks: Tasks, effects: Desk) -> None:
    starter = TaskClient(tasks.client, task_queue=tasks.task_queue)
    task = await starter.start(spec(put("a")))
    assert (await end_of(task.handle)).type == "completed"
    assert await attributes_of(task.handle) == ("found", "completed")
    assert await states_written(task.handle) == ["completed"]
    by_any_client = await tasks.start([put("b")])
    assert (await end_of(by_any_client)).type == "completed"
    assert await states_written(by_any_client) == ["running", "completed"]


async def test_a_task_that_is_refused_says_so(tasks: Tasks, effects: Desk) -> None:
    starter = TaskClient(tasks.client, task_queue=tasks.task_queue)
    task = await starter.start(spec(step("a", "desk.no_such_tool")))
    assert (await end_of(task.handle)).type == "InvalidSpec"
    assert await attributes_of(task.handle) == ("found", "rolled_back")


async def test_a_task_that_is_cancelled_before_it_begins_says_so(
    client: Client, server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    task = await TaskClient(client, task_queue=task_queue).start(spec(put("a")))
    await task.cancel()
    plugin = CounterstepPlugin([desk], inline_specs=True)
    async with Worker(await Client.connect(server.address, plugins=[plugin]), task_queue=task_queue):
        assert (await end_of(task.handle)).type == "cancelled"
    assert await attributes_of(task.handle) == ("found", "cancelled")
    assert effects.effects() == {}


async def test_what_ended_before_any_worker_began_it_is_not_a_forced_end(
    client: Client, server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    """It has left nothing behind; what was reset to its very beginning may have."""
    starter = TaskClient(client, task_queue=task_queue)
    plugin = CounterstepPlugin([desk], inline_specs=True)
    async with Worker(await Client.connect(server.address, plugins=[plugin]), task_queue=task_queue):
        begun = await starter.start(spec(put("a"), step("rest", "desk.look", "a", delay=HELD)))
        await effects.until("look", "rest")
        await begun.handle.terminate()
        effects.release("rest")
    again = await reset(client, begun.handle, calls=0)
    assert await has_begun(client, begun.id, again.result_run_id or again.run_id or "")
    never = await starter.start(spec(put("b")))
    for task in (never, begun):
        await client.get_workflow_handle(task.id).terminate()
    assert (await listed(client, begun, "rollback_incomplete"))[0].status == "terminated"
    await until_indexed(client, f'WorkflowId = "{never.id}" AND ExecutionStatus = "Terminated"')
    swept = {row.workflow_id for row in await sweep_namespace(target_of(client), None, act=False)}
    assert begun.id in swept
    assert never.id not in swept
    query = f'WorkflowId = "{never.id}"'
    assert (await list_rows(target_of(client), states=[], task=None, query=query, limit=5))[0] == []


async def test_a_workflow_of_ones_own_says_what_it_is_when_its_saga_begins(client: Client) -> None:
    task = await TaskClient(client, task_queue=NOBODY).start("FiveSteps", {})
    assert await attributes_of(task.handle) == (None, None)
    await task.handle.terminate()


async def test_a_namespace_without_search_attributes_takes_tasks_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "SEARCH_ATTRIBUTES", {})
    with temporal_server() as bare:
        client = await Client.connect(bare.address)
        for number in range(2):
            started = await start_once(client, "shop.order", {}, id=f"bare-{number}", task_queue=NOBODY)
            assert (started.is_new, await attributes_of(started.handle)) == (True, (None, None))
        with pytest.raises(RPCError):  # what else is wrong is still told
            await start_once(client, "shop.order", {}, id="x" * 2000, task_queue=NOBODY)


async def test_a_worker_that_may_not_ask_for_them_still_writes_the_state(
    server: EmbeddedServer, task_queue: str, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs tasks without search attributes; what a start has said must not stay for ever."""

    async def not_permitted(client: Client) -> bool:
        return False

    monkeypatch.setattr("counterstep.plugin.warn_of_missing", not_permitted)
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        task = await TaskClient(client, task_queue=task_queue).start(spec(put("a"), put("b", fail="final")))
        assert (await end_of(task.handle)).type == "SagaRolledBack"
        assert await attributes_of(task.handle) == ("found", "rolled_back")
        assert await states_written(task.handle) == ["compensating", "rolled_back"]
        by_any_client = await Tasks(client, task_queue).start([put("c")])
        assert (await end_of(by_any_client)).type == "completed"
        assert await states_written(by_any_client) == []
