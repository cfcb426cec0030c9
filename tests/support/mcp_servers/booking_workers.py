"""Workers that offer the tools of MCP servers, in this process or in one that a test can kill."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.mcp_servers.booking_bundles import inn
from counterstep.tests.support.tasks.tasks import Tasks

READY = "ready"


@asynccontextmanager
async def working(address: str, task_queue: str, bundle: Bundle) -> AsyncIterator[Tasks]:
    """Runs a worker for a bundle."""
    client = await Client.connect(address, plugins=[CounterstepPlugin([bundle], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


def work(address: str, task_queue: str, file: str) -> None:
    """Runs a worker for the bundle `inn`, for ever; says on its standard error output when it is ready."""
    asyncio.run(_serve(address, task_queue, Path(file)))


async def _serve(address: str, task_queue: str, file: Path) -> None:
    async with working(address, task_queue, inn(file)):
        sys.stderr.write(f"{READY}\n")
        await asyncio.Event().wait()
