"""A pool of ordinary workers, each in a process of its own, which can really be killed and replaced."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_LINKS = Path(__file__).resolve().parent.parent / ".link"
_STARTED = "worker started"
_START_SECONDS = 120.0

# It is told the ids of the workers, and ends them should this process be killed itself.
_WATCHDOG = "while read -r line; do pids=$line; done; kill -9 $pids 2>/dev/null"


class WorkerPool:
    """Keeps some workers alive on one queue; an async context manager.

    They run ``python -m counterstep.worker`` as a pool in production does: every setting is the shipped one.

    Attributes:
        kills: How many were killed.
    """

    def __init__(
        self, size: int, *, address: str, queue: str, bundle: str, folder: Path, **environment: str
    ) -> None:
        """Prepares a pool.

        Args:
            size: How many workers.
            address: The Temporal server.
            queue: The queue that they serve.
            bundle: What they offer, as ``module:attribute``.
            folder: Where their logs go.
            environment: More variables for them.
        """
        self.kills = 0
        self._size = size
        self._folder = folder
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(_LINKS), *filter(None, [os.environ.get("PYTHONPATH")]))),
            "TEMPORAL_ADDRESS": address,
            "COUNTERSTEP_BUNDLES": bundle,
            "COUNTERSTEP_TASK_QUEUE": queue,
            **environment,
        }
        self._workers: list[subprocess.Popen[bytes]] = []
        self._watchdog: subprocess.Popen[str] | None = None

    async def __aenter__(self) -> Self:
        self._watch()
        for _ in range(self._size):
            self._start()
        try:
            await self._until_started()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def kill(self, pid: int | None = None) -> float:
        """Kills a worker (kill -9) and starts another one in its place.

        Args:
            pid: Which one; None for any.

        Returns:
            When it was killed, by `time.time`.
        """
        chosen = [worker for worker in self._workers if pid in (None, worker.pid)]
        victim = random.choice(chosen)
        self._workers.remove(victim)
        victim.kill()
        killed = time.time()
        victim.wait()
        self.kills += 1
        self._start()
        return killed

    def logs(self) -> str:
        """What all workers have printed."""
        return "".join(path.read_text(errors="replace") for path in sorted(self._folder.glob("worker-*.log")))

    def _watch(self) -> None:
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def _start(self) -> None:
        number = self.kills + len(self._workers)
        with open(self._folder / f"worker-{number:04}.log", "wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "counterstep.worker"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        self._workers.append(worker)
        assert self._watchdog is not None and self._watchdog.stdin is not None
        self._watchdog.stdin.write(f"{' '.join(map(str, self.pids))}\n")
        self._watchdog.stdin.flush()

    async def _until_started(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self.logs().count(_STARTED) < self._size:
            if any(worker.poll() is not None for worker in self._workers) or time.monotonic() > deadline:
                raise RuntimeError(f"a worker has not started:\n{self.logs()}")
            await asyncio.sleep(0.1)

    def _end(self) -> None:
        assert self._watchdog is not None
        self._watchdog.kill()
        self._watchdog.wait()
        for worker in self._workers:
            worker.kill()
            worker.wait()
