"""An errand worker in a process of its own, so that a test can really kill it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from counterstep.tests.support.workers import errand_worker

READY = "ready"


@contextmanager
def worker_process(address: str, task_queue: str) -> Iterator[subprocess.Popen[str]]:
    """Starts a worker and waits until it works, which takes about 3 s.

    Args:
        address: The Temporal server.
        task_queue: What it serves.

    Yields:
        The process; ``kill()`` is kill -9. It is gone when the block ends, and when this process ends.
    """
    with subprocess.Popen(
        [sys.executable, "-m", __name__, address, task_queue],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            assert line == READY, f"the worker has not started: {line!r}"
            yield process
        finally:
            process.kill()


async def _serve(address: str, task_queue: str) -> None:
    async with errand_worker(address, task_queue):
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)  # ends with the process that has started this one
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
