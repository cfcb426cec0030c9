"""A task is watched on a real server, also where there is nobody and nothing to tell."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from counterstep.cli.errors import CommandFailed
from counterstep.cli.operations.task_watch import TaskWatch, miss_workers
from counterstep.cli.terminal.live_board import Lines
from counterstep.cli.terminal.signals import Signals
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.runtime.connection import has_workers
from counterstep.tests.support.bundles.desk import desk


async def test_a_task_whose_workers_have_gone_is_not_watched_for_ever(client: Client) -> None:
    assert not await has_workers(client, "nobody-here")
    silent = SimpleNamespace(unanswered=asyncio.get_running_loop().time() - 60)
    with pytest.raises(CommandFailed, match="nobody"):
        async with asyncio.timeout(60):
            await miss_workers(
                client, "nobody-here", cast(TaskWatch, silent), lambda: CommandFailed("nobody")
            )


async def test_of_a_task_that_was_cancelled_before_it_began_there_is_nothing_to_tell(
    server: EmbeddedServer,
    task_queue: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("counterstep.client.board.LAST_SECONDS", 0.5)
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk])])
    handle = await client.start_workflow(
        "desk.tidy", {"what": "cup"}, id=f"early-{task_queue}", task_queue=task_queue
    )
    await handle.cancel()
    async with Worker(client, task_queue=task_queue):
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    seen = await TaskWatch(handle, Lines(), Signals()).until_end()
    assert (seen.ended, seen.board) == (True, None)
    assert capsys.readouterr().err == "It had done nothing yet.\n"
