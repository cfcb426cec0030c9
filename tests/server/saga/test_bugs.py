"""G9: a bug ends a task undone; a bad deploy does not end it at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep.client import TaskClient, TaskRollbackIncomplete
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.saga.calls import unknown_names
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.histories.history import (
    CALL_COMPLETED,
    SIGNALED,
    TURN_COMPLETED,
    TURN_FAILED,
    until_event,
)
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.workflows.own_workflows import (
    Answers,
    Buggy,
    Strangers,
    VersionOne,
    VersionTwo,
)


@pytest.fixture
async def client(server: EmbeddedServer) -> Client:
    return await Client.connect(server.address, plugins=[CounterstepPlugin([desk])])


async def test_a_bug_on_the_last_line_undoes_everything(
    client: Client, task_queue: str, effects: Desk
) -> None:
    async with Worker(client, task_queue=task_queue, workflows=[Buggy]):
        end = await end_of(await Tasks(client, task_queue).start_workflow("Buggy", "inside"))
    assert end.type == "SagaRolledBack"
    assert end.failure == {"step": "", "type": "ZeroDivisionError", "message": "a bug on the last line"}
    assert effects.effects() == {}
    assert effects.what("undone") == ["b", "a"]
    assert end.error is not None
    bug = end.error.cause
    assert isinstance(bug, ApplicationError) and bug.failure is not None
    assert "own_workflows.py" in bug.failure.stack_trace, "the traceback is in the failure"


async def test_a_bug_outside_the_saga_fails_the_workflow(
    client: Client, task_queue: str, effects: Desk
) -> None:
    async with Worker(client, task_queue=task_queue, workflows=[Buggy]):
        end = await end_of(await Tasks(client, task_queue).start_workflow("Buggy", "outside"))
    assert end.type == "LookupError"
    assert list(effects.effects()) == ["a", "b"], "the saga had ended well"


async def test_a_failure_after_the_saga_with_the_name_of_a_refusal_is_not_told_as_one(
    client: Client, task_queue: str, effects: Desk
) -> None:
    async with Worker(client, task_queue=task_queue, workflows=[Buggy]):
        handle = await Tasks(client, task_queue).start_workflow("Buggy", "named")
        with pytest.raises(TaskRollbackIncomplete) as ended:
            await (await TaskClient(client).attach(handle.id)).result()
    outcome = ended.value.outcome
    assert outcome.failure == {"step": "", "type": "InvalidInput", "message": "not what was meant"}
    assert outcome.state == "rollback_incomplete"
    assert list(effects.effects()) == ["a", "b"], "both stand"


async def test_a_strangers_workflow_is_left_alone(client: Client, task_queue: str) -> None:
    async with Worker(client, task_queue=task_queue, workflows=[Strangers]):
        handle = await Tasks(client, task_queue).start_workflow("Strangers")
        await until_event(handle, TURN_FAILED)
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.terminate()


async def test_a_bad_deploy_stays_running_until_good_code_returns(
    client: Client, task_queue: str, effects: Desk
) -> None:
    tasks = Tasks(client, task_queue)
    async with Worker(client, task_queue=task_queue, workflows=[VersionOne], max_cached_workflows=0):
        handle = await tasks.start_workflow("Versioned")
        await until_event(handle, CALL_COMPLETED, TURN_COMPLETED)
    await handle.signal("go_on")
    async with Worker(client, task_queue=task_queue, workflows=[VersionTwo], max_cached_workflows=0):
        await until_event(handle, SIGNALED, TURN_FAILED)
        assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
        assert effects.what("undo") == [], "nothing is undone by code that does not fit the history"
    async with Worker(client, task_queue=task_queue, workflows=[VersionOne], max_cached_workflows=0):
        assert await asyncio.wait_for(handle.result(), 60) == "done"
    assert list(effects.effects()) == ["one"]


async def test_a_call_of_an_activity_that_no_worker_knows_fails_typed(
    tasks: Tasks, effects: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_names, "PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr(unknown_names, "PAUSE", timedelta(milliseconds=300))
    end = await end_of(await tasks.start_workflow("CallsUnknown"))
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "UnknownActivity"
    assert "nobody.knows_this" in end.message
    assert effects.effects() == {}


async def test_what_a_workflow_of_ones_own_serves_stays_its_own(
    client: Client, task_queue: str, effects: Desk
) -> None:
    async with Worker(client, task_queue=task_queue, workflows=[Answers]):
        handle = await Tasks(client, task_queue).start_workflow("Answers")
        await effects.until("done", "a")
        assert await handle.execute_update("resolve", "x") == "x"
        assert await handle.query("board") == ["resolve x"]
        await handle.signal("event", "y")
        assert await handle.result() == ["resolve x", "event y"]
    assert list(effects.effects()) == ["a", "b"]
