"""Whether this machine's worker asks its queue for work: ``python -m counterstep.health``, for containers."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import NoReturn

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from .connection import POLL_SECONDS, connect, read_connection
from .process import end_process
from .saga.errors import CounterstepError
from .settings import read_settings


async def polls(client: Client, task_queue: str, host: str) -> bool:
    """Tells whether a worker on `host` has asked `task_queue` for work lately.

    Args:
        client: Any client.
        task_queue: The queue that the worker serves.
        host: The name of its machine; a container has one of its own.

    Returns:
        True if it has, within the last 70 s: one request waits 60 s for work.

    Raises:
        RPCError: The server does not answer.
    """
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    recently = time.time() - POLL_SECONDS
    return any(
        poller.identity.endswith(f"@{host}") and poller.last_access_time.ToNanoseconds() / 1e9 >= recently
        for poller in answer.pollers
    )


async def _polls() -> bool:
    settings = read_settings()
    client = await connect(read_connection())
    return await polls(client, settings.task_queue, socket.gethostname())


def main() -> NoReturn:
    """Exits with 0 if the worker that the environment describes polls, and with 1 if not."""
    reason = "no worker on this machine has asked for work lately"
    try:
        healthy = asyncio.new_event_loop().run_until_complete(_polls())
    except CounterstepError as error:
        healthy, reason = False, str(error)
    except RPCError as error:
        healthy, reason = False, error.message
    if not healthy:
        sys.stdout.write(f"{reason}\n")
    end_process(0 if healthy else 1)


if __name__ == "__main__":
    main()
