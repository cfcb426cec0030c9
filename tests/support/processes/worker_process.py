"""An errand worker in a process of its own, so that a test can really kill it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterstep.tests.support.processes.command import until_written
from counterstep.tests.support.processes.forked import Forked
from counterstep.tests.support.tasks.workers import errand_worker

READY = "ready"


@contextmanager
def worker_process(address: str, task_queue: str) -> Iterator[Forked]:
    """Starts a worker and waits until it works.

    Args:
        address: The Temporal server.
        task_queue: What it serves.

    Yields:
        The process; ``kill()`` is kill -9. It is gone when the block ends, and when this process ends.
    """
    with tempfile.NamedTemporaryFile() as said:
        told = Path(said.name)
        process = Forked(_work, address, task_queue, folder=Path.cwd(), environment=os.environ, stderr=told)
        try:
            until_written(told, READY)
            yield process
        finally:
            process.kill()
            process.wait()


def _work(address: str, task_queue: str) -> None:
    asyncio.run(_serve(address, task_queue))


async def _serve(address: str, task_queue: str) -> None:
    async with errand_worker(address, task_queue):
        sys.stderr.write(f"{READY}\n")
        await asyncio.Event().wait()
