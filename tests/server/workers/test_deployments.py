"""G26: on workers with Worker Versioning a task ends on the version that it began with."""

from __future__ import annotations

import asyncio

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.bundles.desk import Desk, desk
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_step


def versioned(client: Client, task_queue: str, build: str) -> Worker:
    version = WorkerDeploymentVersion(deployment_name=task_queue, build_id=build)
    config = WorkerDeploymentConfig(version=version, use_worker_versioning=True)
    return Worker(client, task_queue=task_queue, deployment_config=config)


async def make_current(client: Client, task_queue: str, build: str) -> None:
    """Sends new workflows to a version, once the server knows it."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=task_queue, build_id=build, identity="test"
    )
    for _ in range(100):
        try:
            await client.workflow_service.set_worker_deployment_current_version(request, retry=True)
            return
        except RPCError:
            await asyncio.sleep(0.1)
    raise AssertionError(f"the server does not know the version {build}")


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
