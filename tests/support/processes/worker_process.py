"""An errand worker in a process of its own, so that a test can really kill it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path

from counterstep.tests.support.processes.command import until_written
from counterstep.tests.support.processes.forked import Forked
from counterstep.tests.support.tasks.workers import errand_worker

READY = "ready"


Work = Callable[[str, str], None]
"""Works for ever, as a process of its own, for a server and a queue."""


def _errands(address: str, task_queue: str) -> None:
    asyncio.run(serve(errand_worker(address, task_queue)))


@contextmanager
def worker_process(address: str, task_queue: str, work: Work = _errands) -> Iterator[Forked]:
    """Starts a worker and waits until it works.

    Args:
        address: The Temporal server.
        task_queue: What it serves.
        work: What it does; it calls `serve`.

    Yields:
        The process; ``kill()`` is kill -9. It is gone when the block ends, and when this process ends.
    """
    with tempfile.NamedTemporaryFile() as said:
        told = Path(said.name)
        process = Forked(work, address, task_queue, folder=Path.cwd(), environment=os.environ, stderr=told)
        try:
            until_written(told, READY)
            yield process
        finally:
            process.kill()
            process.wait()


async def serve(worker: AbstractAsyncContextManager[object]) -> None:
    """Lets a worker work for ever, and says so when it has begun."""
    async with worker:
        sys.stderr.write(f"{READY}\n")
        await asyncio.Event().wait()
