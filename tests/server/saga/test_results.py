"""A result that cannot be written and read again ends its call for good, and is undone without its output."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.bundles.desk import Desk
from counterstep.tests.support.bundles.leaky import leaky
from counterstep.tests.support.tasks.tasks import Tasks, end_of
from counterstep.worker import stock_plugin


@pytest.fixture
async def tasks(server: EmbeddedServer, task_queue: str, effects: Desk) -> AsyncIterator[Tasks]:
    client = await Client.connect(server.address, plugins=[stock_plugin([leaky], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ("issue_token", "a secret in it would be masked"),
        ("issue_ticket", "code comes back with another value"),
        ("issue_priced", "KeyError: 'x'"),
    ],
)
async def test_a_tool_whose_result_is_lost_is_called_once_and_undone(
    tasks: Tasks, effects: Desk, tool: str, told: str
) -> None:
    end = await tasks.run([{"id": "issue", "tool": f"leaky.{tool}", "input": {"what": "x"}}])
    assert end.failure["type"] == "InvalidOutput"
    assert told in end.failure["message"]
    assert "tok-123" not in end.failure["message"]
    expect_undone(effects, "x")


async def test_so_is_a_plain_activity_of_a_workflow_of_ones_own(tasks: Tasks, effects: Desk) -> None:
    end = await end_of(await tasks.start_workflow("Badges"))
    assert end.failure["type"] == "InvalidOutput"
    assert "a secret in it would be masked" in end.failure["message"]
    expect_undone(effects, "badge")


def expect_undone(effects: Desk, what: str) -> None:
    assert [event.attempt for event in effects.events("done")] == [1], "it is final: nothing was tried again"
    assert [event.note for event in effects.events("told")] == ["None"]
    assert effects.effects() == {}
