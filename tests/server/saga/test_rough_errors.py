"""Errors that are hard to carry are told as what they are, and what was done before them is undone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.tests.support.workflows.rough_errors import rough
from counterstep.worker import stock_plugin

HARD = [
    ("mute", "Mute", "Mute, whose text cannot be read"),
    ("wordless", "Wordless", "Wordless, whose text cannot be read"),
    ("half", "ValueError", "half ?"),
    ("huge", "ValueError", "x" * 1997 + "..."),
    ("caused by mute", "ValueError", "it did not work"),
    ("caused by half", "ValueError", "it did not work"),
    ("caused by false", "ValueError", "it did not work"),
    ("caused by unwritable", "ValueError", "it did not work"),
    ("after many", "ValueError", "it did not work"),
    ("group of mute", "Mute", "Mute, whose text cannot be read"),
]


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str, effects: Desk) -> AsyncIterator[Tasks]:
    client = await Client.connect(server.address, plugins=[stock_plugin([rough], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


@pytest.mark.parametrize(("what", "type_", "message"), HARD)
async def test_an_error_of_a_tool_is_told_as_what_it_is(
    tasks: Tasks, effects: Desk, what: str, type_: str, message: str
) -> None:
    steps = [{"id": "a", "tool": "rough.fail", "input": {"what": what}, "retry": {"attempts": 1}}]
    end = await tasks.run(steps)
    assert end.type == "SagaRolledBack"
    assert end.failure == {"step": "a", "type": type_, "message": message}
    expect_undone(effects, what)


@pytest.mark.parametrize(("what", "type_", "message"), HARD)
async def test_an_error_of_a_workflow_of_ones_own_undoes_its_saga(
    tasks: Tasks, effects: Desk, what: str, type_: str, message: str
) -> None:
    end = await end_of(await tasks.start_workflow("Rough", what))
    assert end.type == "SagaRolledBack"
    assert end.failure == {"step": "", "type": type_, "message": message}
    expect_undone(effects, what)


async def test_a_false_cause_is_told_too(tasks: Tasks, effects: Desk) -> None:
    end = await end_of(await tasks.start_workflow("Rough", "caused by false"))
    assert end.error is not None and isinstance(end.error.cause, ApplicationError)
    assert isinstance(end.error.cause.cause, ApplicationError)
    cause = end.error.cause.cause
    assert (cause.type, cause.message) == ("Problems", "404")


@pytest.mark.parametrize(("what", "type_"), [("cancelled", "Cancelled"), ("rejected", "Rejected")])
async def test_an_error_with_the_name_of_one_of_ours_is_an_ordinary_failure(
    tasks: Tasks, effects: Desk, what: str, type_: str
) -> None:
    step = {"id": "a", "tool": "rough.fail", "input": {"what": what}, "retry": {"attempts": 1}}
    end = await tasks.run([step])
    assert end.type == "SagaRolledBack", "the task is not told as cancelled"
    module = "counterstep.tests.support.workflows.rough_errors"
    assert end.failure == {"step": "a", "type": f"{module}.{type_}", "message": "the bank says so"}
    expect_undone(effects, what)
    skipped = await tasks.run([{**step, "on_failure": "skip", "on_reject": "rollback"}])
    assert skipped.type == "completed", "no verdict has rejected anything"


async def test_details_that_cannot_be_written_leave_an_error_final(tasks: Tasks, effects: Desk) -> None:
    end = await tasks.run([{"id": "a", "tool": "rough.fail", "input": {"what": "final"}}])
    assert end.failure == {"step": "a", "type": "No", "message": "no"}
    assert [event.attempt for event in effects.events("done")] == [1], "it is not tried again"
    expect_undone(effects, "final")


def expect_undone(effects: Desk, what: str) -> None:
    assert effects.what("done") == [what]
    assert effects.effects() == {}
