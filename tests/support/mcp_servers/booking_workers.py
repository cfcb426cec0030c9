"""Workers that offer the tools of MCP servers, in this process or in one that a test can kill."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.processes.command import until_written
from counterstep.tests.support.processes.forked import Forked
from counterstep.tests.support.tasks.tasks import Tasks

READY = "ready"


@asynccontextmanager
async def working(address: str, task_queue: str, bundle: Bundle) -> AsyncIterator[Tasks]:
    """Runs a worker for a bundle."""
    client = await Client.connect(address, plugins=[CounterstepPlugin([bundle], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        yield Tasks(client, task_queue)


async def forked_worker(address: str, task_queue: str, maker: str, argument: Path, told: Path) -> Forked:
    """Starts a worker in a process of its own, and waits until it is ready.

    Args:
        address: The Temporal server.
        task_queue: Its queue.
        maker: What makes its bundle of the argument, as ``module:function``.
        argument: A file or folder.
        told: A file for what it says.
    """
    worker = Forked(
        work,
        *(address, task_queue, maker, str(argument)),
        folder=Path.cwd(),
        environment=os.environ,
        stderr=told,
    )
    await asyncio.to_thread(until_written, told, READY)
    return worker


def work(address: str, task_queue: str, maker: str, argument: str) -> None:
    """Runs a worker, for ever; says on its standard error output when it is ready."""
    module, _, function = maker.partition(":")
    asyncio.run(_serve(address, task_queue, getattr(importlib.import_module(module), function)(argument)))


async def _serve(address: str, task_queue: str, bundle: Bundle) -> None:
    async with working(address, task_queue, bundle):
        sys.stderr.write(f"{READY}\n")
        await asyncio.Event().wait()
