"""Talks to the process that forks the explorer's workers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from ...saga.errors import CounterstepError, DefinitionError
from .compensation_contract import Case, Finding
from .fault_worker import WorkerRequest, WorkerSetup

_PROGRAM: Final = "counterstep.testing.explorer.fault_worker"
_LINE_BYTES: Final = 16 * 1024 * 1024
_TAIL_BYTES: Final = 2000


class WorkersLost(CounterstepError):
    """The workers of explored runs ended although the explorer did not kill them."""


class WorkerPool:
    """Workers that may be killed: each dead one is replaced at once."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        """Takes over a process that has been started.

        Args:
            process: The process that runs `fault_worker`.
            log: The file that holds what the process and its workers print.
        """
        self._process = process
        self._log = log
        self._findings: asyncio.Future[list[Finding]] | None = None
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        """Has an exception once workers have ended for good."""
        self._reader: asyncio.Task[None] | None = None

    def serve(self, queue: str) -> None:
        """Keeps one worker alive on a task queue; calling it again adds another worker."""
        self._ask(WorkerRequest(serve=queue))

    def end(self, queue: str) -> None:
        """Kills the workers of a queue for good."""
        self._ask(WorkerRequest(end=queue))

    async def check(self, cases: Sequence[Case]) -> list[Finding]:
        """Checks the contract of compensations in a process of its own."""
        self._findings = asyncio.get_running_loop().create_future()
        self._ask(WorkerRequest(contract=tuple(cases)))
        either: set[asyncio.Future[Any]] = {self._findings, self.lost}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.lost.done():
            self.lost.result()
        return self._findings.result()

    def _ask(self, request: WorkerRequest) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{request.model_dump_json(exclude_none=True)}\n".encode())

    async def _until_ready(self) -> None:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        event = json.loads(line) if line else {"failed": self._tail()}
        if "failed" in event:
            raise DefinitionError(f"the bundles cannot be served: {event['failed']}")
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            event: dict[str, Any] = json.loads(line)
            if "findings" in event and self._findings is not None:
                self._findings.set_result([Finding.model_validate(item) for item in event["findings"]])
            elif event.get("code") or (event.get("ended") and event["ended"] != "contract"):
                break
        if not self.lost.done():
            self.lost.set_exception(WorkersLost(f"the explorer's workers have ended:\n{self._tail()}"))

    def _tail(self) -> str:
        return (
            self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip() or "(nothing was printed)"
        )


@asynccontextmanager
async def worker_nest(nest: WorkerSetup, log: Path) -> AsyncIterator[WorkerPool]:
    """Starts the process that forks the workers; its imports take a few seconds.

    Args:
        nest: How to set up the workers.
        log: A file for what they print.

    Yields:
        The pool of workers; every process has ended when the block is left.

    Raises:
        DefinitionError: The bundles cannot be loaded or served.
    """
    with open(log, "ab") as file:  # noqa: ASYNC230 (it is only handed on)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=file,
            limit=_LINE_BYTES,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    hand = WorkerPool(process, log)
    assert process.stdin is not None
    try:
        process.stdin.write(f"{nest.model_dump_json()}\n".encode())
        await hand._until_ready()
        yield hand
    finally:
        # The end of its input is its end, and its workers notice that.
        process.stdin.close()
        await process.wait()
        if hand._reader is not None:
            await hand._reader
        if hand.lost.done():
            hand.lost.exception()
