"""Waits until a worker, given by its process id, asks the embedded server of this folder for work."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from counterstep.embedded import running


async def main(pid: str) -> None:
    server = running(Path.cwd())
    assert server is not None
    client = await Client.connect(server.address)
    question = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name="counterstep"),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    async with asyncio.timeout(120):
        while True:
            answer = await client.workflow_service.describe_task_queue(question)
            if any(f"/{pid}@" in f"/{poller.identity}" for poller in answer.pollers):
                return
            await asyncio.sleep(0.2)


asyncio.run(main(sys.argv[1]))
os._exit(0)  # the SDK's core may crash an interpreter that ends soon
