"""A task is found by its name and its state from its start on, before a worker has taken it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter, PayloadCodec
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker

from counterstep.a2a_server.served_tasks import ServedTasks
from counterstep.a2a_server.task_view import SUBMITTED
from counterstep.bundle.registry import Registry
from counterstep.cli.operations.list_tasks import TaskRow, list_rows
from counterstep.cli.operations.recover_task import start_recovery
from counterstep.cli.operations.sweep_namespace import sweep_namespace
from counterstep.client import Task, TaskClient
from counterstep.client.first_traces import has_begun
from counterstep.client.start_once import start_once
from counterstep.embedded import EmbeddedServer, lifecycle
from counterstep.histories.run_chain import find_chain
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.engine import start
from counterstep.saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from counterstep.saga.record.task_record import TaskRecord
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


async def test_they_are_tried_again_where_they_did_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "SEARCH_ATTRIBUTES", {"SagaTask": "Keyword"})
    with temporal_server() as bare:
        client = await Client.connect(bare.address)
        first = await start_once(client, "shop.order", {}, id="first", task_queue=NOBODY)
        assert await attributes_of(first.handle) == (None, None)
        request = AddSearchAttributesRequest(namespace="default")
        request.search_attributes["SagaState"] = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        await client.operator_service.add_search_attributes(request)
        monkeypatch.setattr("counterstep.client.start_once.RECHECK", timedelta())
        for number in range(100):  # the server takes a while to know them everywhere
            later = await start_once(client, "shop.order", {}, id=f"later-{number}", task_queue=NOBODY)
            if await attributes_of(later.handle) == ("shop.order", "running"):
                return
            await asyncio.sleep(0.2)
    raise AssertionError("they exist, and are not used")


async def test_a_recovery_is_named_after_its_task(tasks: Tasks, effects: Desk) -> None:
    starter = TaskClient(tasks.client, task_queue=tasks.task_queue)
    task = await starter.start(spec(put("a"), step("rest", "desk.look", "a", delay=HELD)))
    await effects.until("look", "rest")
    await task.handle.terminate()
    effects.release("rest")
    chain = await find_chain(tasks.client, task.id)
    recovery = await start_recovery(tasks.client, chain, tasks.task_queue)
    assert (await end_of(recovery)).type == "completed"
    assert await attributes_of(recovery) == ("found", "completed")
    assert effects.effects() == {}


class Wrapped(PayloadCodec):
    """What a worker without it cannot read."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"binary/wrapped"}, data=one.SerializeToString())
            for one in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload.FromString(one.data) for one in payloads]


async def test_a_task_whose_input_nobody_can_read_says_so(
    server: EmbeddedServer, tasks: Tasks, effects: Desk
) -> None:
    converter = replace(DataConverter.default, payload_codec=Wrapped())
    client = await Client.connect(server.address, data_converter=converter)
    task = await TaskClient(client, task_queue=tasks.task_queue).start("desk.tidy", {"what": "cup"})
    assert (await end_of(task.handle)).type == "InvalidInput"
    assert await attributes_of(task.handle) == ("desk.tidy", "rolled_back")


@pytest.mark.parametrize("how", ["refused", "cancelled"])
async def test_what_an_older_worker_has_ended_early_still_replays(
    client: Client,
    server: EmbeddedServer,
    task_queue: str,
    effects: Desk,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    plugin = CounterstepPlugin([desk], inline_specs=True)
    task = await TaskClient(client, task_queue=task_queue).start(
        spec(put("a") if how == "cancelled" else step("a", "desk.no_such_tool"))
    )
    if how == "cancelled":
        await task.cancel()
    with monkeypatch.context() as older:
        older.setattr(start, "_end_early", TaskRecord.enter)
        async with Worker(await Client.connect(server.address, plugins=[plugin]), task_queue=task_queue):
            await end_of(task.handle)
    assert await attributes_of(task.handle) == ("found", "running")
    await until_indexed(client, f'WorkflowId = "{task.id}" AND ExecutionStatus != "Running"')
    incomplete, _ = await list_rows(
        target_of(client),
        states=["rollback_incomplete"],
        task=None,
        query=f'WorkflowId = "{task.id}"',
        limit=5,
    )
    assert incomplete == []
    await Replayer(workflows=[], plugins=[plugin]).replay_workflow(await task.handle.fetch_history())


@activity.defn
async def look_up() -> None:
    """A call that is none of a saga's."""


@workflow.defn(name="billing.report", sandboxed=False)
class Report:
    """A workflow of one's own without a saga, whose name looks like that of a task."""

    @workflow.run
    async def run(self, _: Any) -> None:
        await workflow.execute_activity(look_up, start_to_close_timeout=timedelta(seconds=30))
        raise ApplicationError("no report", non_retryable=True)


async def test_a_workflow_that_only_looks_like_a_task_is_not_a_forced_end(
    client: Client, task_queue: str
) -> None:
    async with Worker(client, task_queue=task_queue, workflows=[Report], activities=[look_up]):
        task = await TaskClient(client, task_queue=task_queue).start("billing.report", {})
        assert (await end_of(task.handle)).message == "no report"
    await until_indexed(client, f'WorkflowId = "{task.id}" AND ExecutionStatus = "Failed"')
    assert task.id not in {
        row.workflow_id for row in await sweep_namespace(target_of(client), None, act=False)
    }


async def test_the_list_of_an_a2a_server_tells_what_waits_for_a_worker(client: Client) -> None:
    served = ServedTasks(client, Registry([desk]).catalog.tasks, NOBODY)
    owner = f"owner-{uuid4()}"
    queued = await served.start(owner, None, f"message-{uuid4()}", "desk.tidy", {"what": "cup"})
    await until_indexed(client, f'WorkflowId = "{queued.task.id}"')
    (listed,) = await served.newest(owner)
    assert listed.state == (await served.seen(queued)).status.state == SUBMITTED
    await queued.task.handle.terminate()
