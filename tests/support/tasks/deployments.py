"""Workers with Worker Versioning, and which of their versions is the current one."""

from __future__ import annotations

import asyncio

from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig


def versioned(client: Client, task_queue: str, build: str) -> Worker:
    """A worker of a version of the deployment that is named as its queue."""
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
