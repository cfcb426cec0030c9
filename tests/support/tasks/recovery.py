"""Recovers tasks as the command does: with a client that has neither a plugin nor a key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.converter import DataConverter
from temporalio.service import RPCError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from counterstep import Bundle, Effect, Undo, current_step
    from counterstep.cli.arguments.server_target import ServerTarget
    from counterstep.cli.errors import CommandFailed
    from counterstep.cli.operations.recover_task import recover_task
    from counterstep.cli.operations.recovery_report import RecoverOptions, RecoveryReport
    from counterstep.embedded import EmbeddedServer
    from counterstep.plugin import CounterstepPlugin
    from counterstep.tests.support.bundles.desk import (
        HELD,
        Desk,
        Placed,
        desk,
        pause,
        put,
        record,
        take_back,
        write,
    )
    from counterstep.tests.support.bundles.nest import Plain, nest
    from counterstep.tests.support.tasks.tasks import Tasks
    from counterstep.tests.support.tasks.work import step
    from counterstep.tests.support.tasks.workers import THREADS, WORKFLOWS
    from counterstep.tests.support.workflows.sagas import errands

brief = Bundle("brief")


@brief.tool(compensate="remove", timeout="2s")
def place(what: str, delay: float = 0, undo_delay: float = 0, fail: str = "", undo: str = "") -> Placed:
    """Puts a thing on the desk; whatever is under way here need not be waited out for long."""
    return put(what, delay=delay, fail=fail)


@brief.compensation(timeout="2s")
def remove(undo: Undo[Placed]) -> None:
    """Takes it off again."""
    take_back(undo)
    record("told", current_step().task_id, undo.task_id)


@brief.tool(compensate="wipe")
def scribble(what: str, late: float = 0) -> str:
    """Puts a thing on the desk whenever it is asked to, also under a key that was undone."""
    key = current_step().idempotency_key
    write(key, what, "done")
    record("done", what)
    pause(what, late)
    return what


@brief.compensation
def wipe(undo: Undo[str]) -> None:
    """Takes it off again."""
    write(undo.idempotency_key, str(undo.input["what"]), "undone")
    record("undone", str(undo.input["what"]))


@brief.tool(effect=Effect.PIVOT, timeout="2s")
def ship(what: str, delay: float = 0) -> str:
    """Cannot be undone."""
    record("ship", what)
    pause(what, delay)
    return what


@workflow.defn
class Stranger:
    """A workflow that has nothing to do with us."""

    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(600)


@asynccontextmanager
async def brief_worker(
    address: str, task_queue: str, converter: DataConverter = DataConverter.default
) -> AsyncIterator[Tasks]:
    """Runs a worker of `brief`, `desk`, `errands` and `nest`."""
    plugin = CounterstepPlugin([brief, desk, errands, nest], inline_specs=True)
    client = await Client.connect(address, plugins=[plugin], data_converter=converter)
    workflows = [*WORKFLOWS, Stranger]
    async with Worker(client, task_queue=task_queue, workflows=workflows, activity_executor=THREADS):
        yield Tasks(client, task_queue)


@asynccontextmanager
async def nest_worker(
    server: EmbeddedServer, task_queue: str, converter: DataConverter = DataConverter.default
) -> AsyncIterator[Tasks]:
    """Runs a worker of `desk` and `nest`."""
    ours = CounterstepPlugin([desk, nest], inline_specs=True)
    client = await Client.connect(server.address, plugins=[ours], data_converter=converter)
    async with Worker(client, task_queue=task_queue, workflows=[Plain]):
        yield Tasks(client, task_queue)


def target_of(client: Client) -> ServerTarget:
    """The server of a client, as the command line finds it."""
    return ServerTarget(
        {"target_host": client.service_client.config.target_host, "namespace": client.namespace}
    )


async def recover(
    tasks: Tasks, handle: WorkflowHandle[Any, Any], *, wait: bool = True, **asked: Any
) -> RecoveryReport:
    """Runs ``counterstep recover``."""
    return await recover_task(target_of(tasks.client), RecoverOptions(id=handle.id, **asked), wait=wait)


async def refusal_of(tasks: Tasks, handle: WorkflowHandle[Any, Any], **asked: Any) -> str:
    """Runs ``counterstep recover`` for what it must refuse; returns the type of the refusal."""
    try:
        done = await recover(tasks, handle, **asked)
    except CommandFailed as failure:
        assert failure.code == 2, failure
        return failure.type
    raise AssertionError(f"it was not refused: {done}")


async def until_closed(handle: WorkflowHandle[Any, Any], seconds: float = 60) -> None:
    """Waits until a run has ended."""
    deadline = time.monotonic() + seconds
    while (await handle.describe()).close_time is None:
        assert time.monotonic() < deadline, "it does not end"
        await asyncio.sleep(0.05)


def recovery_of(tasks: Tasks, handle: WorkflowHandle[Any, Any]) -> WorkflowHandle[Any, Any]:
    """The recovery of a task that was started once and never reset or continued."""
    return tasks.client.get_workflow_handle(f"{handle.id}/recover/{handle.first_execution_run_id}")


async def delete(client: Client, handle: WorkflowHandle[Any, Any], run_id: str | None = None) -> None:
    """Deletes a run that has ended, as the end of its retention does."""
    run_id = run_id or (await handle.describe()).run_id
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id, run_id=run_id),
        )
    )
    deadline = time.monotonic() + 100  # the server takes its time after a run has just ended
    run = client.get_workflow_handle(handle.id, run_id=run_id)
    with suppress(RPCError):
        while time.monotonic() < deadline:
            await run.describe()
            await asyncio.sleep(0.05)
        raise AssertionError("it is not deleted")


def rest(*needs: str) -> dict[str, Any]:
    """A step that changes nothing and does not end."""
    return step("rest", "desk.look", *needs, delay=HELD)


async def stop_at_rest(tasks: Tasks, effects: Desk, *steps: dict[str, Any]) -> WorkflowHandle[Any, Any]:
    """Runs steps, and then terminates their task between two effects."""
    handle = await tasks.start([*steps, rest(*(step["id"] for step in steps))])
    await effects.until("look", "rest")
    await handle.terminate("a test")
    effects.release("rest")
    return handle
