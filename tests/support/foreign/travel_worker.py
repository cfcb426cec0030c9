"""A worker of the travel bundle in a process of its own, so that it can really be killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.travel import travel
from counterstep.tests.support.processes.worker_process import serve


def travels(address: str, task_queue: str) -> None:
    """Works for ever."""
    asyncio.run(serve(_worker(address, task_queue)))


@asynccontextmanager
async def _worker(address: str, task_queue: str) -> AsyncIterator[Worker]:
    plugin = CounterstepPlugin(bundles=[travel()], sticky_timeout=timedelta(seconds=1))
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=task_queue) as worker:
        yield worker
