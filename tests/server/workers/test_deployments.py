"""G26: on workers with Worker Versioning a task ends on the version that it began with."""

from __future__ import annotations

import pytest
from temporalio.client import Client
from temporalio.common import VersioningBehavior

from counterstep.cli.operations.recover_task import start_recovery
from counterstep.embedded import EmbeddedServer
from counterstep.histories.run_chain import find_chain
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.deployments import make_current, versioned
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_step
from counterstep.tests.support.tasks.work import put


async def test_a_task_is_pinned_to_the_version_that_it_began_with(
    server: EmbeddedServer, task_queue: str, effects: Desk
) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    tasks = Tasks(client, task_queue)
    waits = [{"id": "ask", "approve": {"ask": "Go on?"}}]
    async with versioned(client, task_queue, "one"):
        await make_current(client, task_queue, "one")
        handle = await tasks.start(waits)
        await until_step(handle, "ask", "waiting")
        async with versioned(client, task_queue, "two"):
            await make_current(client, task_queue, "two")
            later = await tasks.start(waits)
            await until_step(later, "ask", "waiting")
            for waiting in (handle, later):
                await waiting.execute_update("decide", {"step": "ask", "action": "approve", "by": "ann"})
                assert (await end_of(waiting)).type == "completed"
    for ended, build in ((handle, "one"), (later, "two")):
        versioning = (await ended.describe()).raw_description.workflow_execution_info.versioning_info
        assert versioning.behavior == VersioningBehavior.PINNED.value
        assert versioning.deployment_version.build_id == build


@pytest.mark.parametrize(("pinned", "undone_by"), [(False, "two"), (True, "one")])
async def test_a_recovery_runs_on_the_current_version_or_on_the_one_that_is_said(
    server: EmbeddedServer, task_queue: str, effects: Desk, pinned: bool, undone_by: str
) -> None:
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk], inline_specs=True)])
    name = task_queue.replace("[", "-").replace("]", "")
    async with versioned(client, name, "one"), versioned(client, name, "two"):
        await make_current(client, name, "one")
        handle = await Tasks(client, name).start(
            [put("a"), {"id": "ask", "needs": ["a"], "approve": {"ask": "?"}}]
        )
        await until_step(handle, "ask", "waiting")
        await handle.terminate()
        await make_current(client, name, "two")
        chain = await find_chain(client, handle.id)
        assert chain.newest.version == f"{name}.one"
        version = chain.newest.version if pinned else None
        recovery = await start_recovery(client, chain, name, version=version)
        await recovery.result()
    assert effects.effects() == {}
    versioning = (await recovery.describe()).raw_description.workflow_execution_info.versioning_info
    used = versioning.versioning_override.pinned.version if pinned else versioning.deployment_version
    assert used.build_id == undone_by
