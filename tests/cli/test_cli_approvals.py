"""Approvals from the command line: what is shown is printed, and the answer is for just that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from counterstep.embedded import EmbeddedServer, find_program
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.bundles.till import till
from counterstep.tests.support.people.signing import Signer
from counterstep.tests.support.processes.command import Ended, Shop
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_asked

PAY = {"id": "p", "tool": "till.pay", "input": {"what": "tea"}}


@pytest.fixture
def shop(server: EmbeddedServer, tmp_path: Path) -> Shop:
    return Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address)


@pytest.fixture
async def till_tasks(server: EmbeddedServer, task_queue: str, effects: Desk) -> AsyncIterator[Tasks]:
    client = await Client.connect(
        server.address, plugins=[CounterstepPlugin([desk, till], inline_specs=True)]
    )
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


async def command(shop: Shop, *words: str) -> Ended:
    return await asyncio.to_thread(shop.run, *words)


async def hash_of(handle: WorkflowHandle[Any, Any]) -> str:
    await until_asked(handle, "p")
    return str((await handle.query("board"))["waiting_for"][0]["hash"])


async def test_approve_prints_what_it_approves_and_means_just_that(
    till_tasks: Tasks, shop: Shop, effects: Desk
) -> None:
    handle = await till_tasks.start([PAY])
    hash_ = await hash_of(handle)
    status = await command(shop, "status", handle.id)
    assert f"counterstep decide {handle.id} p approve --hash {hash_}" in status.out + status.err
    stale = await command(shop, "decide", handle.id, "p", "approve", "--hash", "0" * 32)
    assert (stale.code, "has changed since that was shown" in stale.err) == (2, True)
    done = await command(shop, "approve", handle.id, "p", "--by", "Ada")
    assert done.code == 0, done.err
    assert "p: Pay 6000 for tea?" in done.err
    assert '"arguments": {"cents": 6000' in done.err
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]


async def test_arguments_are_edited_from_the_command_line(
    till_tasks: Tasks, shop: Shop, effects: Desk
) -> None:
    handle = await till_tasks.start([PAY])
    value = '{"what": "tea", "cents": 7000}'
    done = await command(
        shop, "decide", handle.id, "p", "edit", "--hash", await hash_of(handle), "--value", value
    )
    assert done.code == 0, done.err
    assert (await end_of(handle)).type == "completed"
    assert [event.note for event in effects.events("done")] == ["7000"]


async def test_a_signed_decision_from_the_command_line(
    server: EmbeddedServer, task_queue: str, effects: Desk, tmp_path: Path
) -> None:
    signer = Signer(tmp_path)
    plugin = CounterstepPlugin([desk, till], inline_specs=True, decision_keys=str(signer.file))
    client = await Client.connect(server.address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue):
        handle = await Tasks(client, task_queue).start([PAY])
        token = signer.token(handle.id, {"step": "p", "action": "approve", "hash": await hash_of(handle)})
        shop = Shop.open(tmp_path, TEMPORAL_ADDRESS=server.address, COUNTERSTEP_DECISION_TOKEN=token)
        done = await command(shop, "approve", handle.id, "p")
        assert done.code == 0, done.err
        assert "says who has signed the token" in done.err
        assert (await end_of(handle)).type == "completed"


async def test_the_temporal_cli_approves_a_call(
    server: EmbeddedServer, till_tasks: Tasks, effects: Desk
) -> None:
    handle = await till_tasks.start([PAY])
    said = {"step": "p", "action": "approve", "hash": await hash_of(handle), "by": "Ada"}
    update = ("workflow", "update", "execute", "--workflow-id", handle.id, "--name", "decide")
    process = await asyncio.create_subprocess_exec(
        str(find_program()), *update, "--input", json.dumps(said), "--address", server.address
    )
    assert await process.wait() == 0
    assert (await end_of(handle)).type == "completed"
    assert effects.what("done") == ["tea"]
