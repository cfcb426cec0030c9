"""Many tasks at once while their workers are killed: ``make soak``.

Every few seconds one worker of the pool, any of them, is killed (kill -9) and replaced. All the while a fixed
number of tasks is under way: tools with effects, model agents, ``for_each``, child workflows; some fail late
and some are cancelled, and these must be undone. Then what really happened (an SQLite file, and the requests
that a model server has got) is compared with the histories. Exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.exceptions import CancelledError as Cancelled
from temporalio.service import RPCError, RPCStatusCode

from benchmarks.audit import CALL_MODEL, RULES, Job, Request, Story, audit
from benchmarks.pool import WorkerPool
from benchmarks.shelf import TASKS, VARIABLE, Shelf
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.testing.server import temporal_server

FATES = ("complete", "complete", "fail", "cancel")
SHOWN = 10


class Clerk:
    """The model behind the agents: it puts down one thing, then two at once, and then says so.

    Attributes:
        requests: The requests that it has received.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    def answer(self, body: dict[str, Any]) -> Behaviour:
        """Answers one request."""
        messages = body["messages"]
        asked = json.loads(next(message["content"] for message in messages if message["role"] == "user"))
        turn = 1 + sum(message["role"] == "assistant" for message in messages)
        with self._lock:
            self.requests.append(Request(asked["name"], turn, time.time()))
        wanted = {1: ("m1",), 2: ("m2", "m3")}.get(turn)
        if wanted is None:
            said = Behaviour.json({"placed": ["m1", "m2", "m3"]})
        else:
            said = Behaviour.calls(*(call("put", what=what, pace=asked["pace"]) for what in wanted))
        return said.with_(delay=random.uniform(0, asked["pace"] / 2))


class Soak:
    """One run of the soak.

    Attributes:
        jobs: The tasks that were started.
        at_kills: How many tasks were under way at each kill.
    """

    def __init__(self, client: Client, queue: str, pool: WorkerPool, options: argparse.Namespace) -> None:
        """Prepares a run; nothing is started yet.

        Args:
            client: A connected client.
            queue: The task queue of the workers.
            pool: The workers that are killed.
            options: The options of the command line, which `main` defines.
        """
        self.jobs: list[Job] = []
        self.at_kills: list[int] = []
        self._client = client
        self._queue = queue
        self._pool = pool
        self._options = options
        self._under_way = 0

    async def run(self) -> None:
        """Keeps tasks under way and kills workers until the time is up, then waits for all tasks to end."""
        options = self._options
        over = time.monotonic() + options.seconds
        keeping = [asyncio.create_task(self._keep_one_going(over)) for _ in range(options.tasks)]
        while time.monotonic() + options.every < over:
            await asyncio.sleep(options.every)
            self.at_kills.append(self._under_way)
            await asyncio.to_thread(self._pool.kill)
            print(f"kill {self._pool.kills}: {self._under_way} tasks under way", file=sys.stderr)
        await asyncio.wait(keeping, timeout=max(0, over - time.monotonic()) + options.patience)
        for one in keeping:
            one.cancel()
        for result in await asyncio.gather(*keeping, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def read_histories(self) -> None:
        """Reads the histories of all tasks and their children."""
        for job in self.jobs:
            ids = [job.id]
            for id_ in ids:
                handle = self._client.get_workflow_handle(id_)
                story = Story.read([event async for event in handle.fetch_history_events()])
                job.stories.append(story)
                ids += story.children

    async def _keep_one_going(self, over: float) -> None:
        while time.monotonic() < over:
            job = Job(f"soak-{uuid4()}", random.choice(list(TASKS)), random.choice(FATES))
            self.jobs.append(job)
            self._under_way += 1
            try:
                await self._one(job)
            finally:
                self._under_way -= 1

    async def _one(self, job: Job) -> None:
        pace = self._options.pace
        given = {"name": job.id, "pace": pace, "fail": job.fate == "fail", "prefix": ""}
        handle = await self._client.start_workflow(job.type, given, id=job.id, task_queue=self._queue)
        cancelling = None
        if job.fate == "cancel":
            cancelling = asyncio.create_task(self._cancel(job, random.uniform(0, 4 * pace)))
        try:
            await handle.result()
            job.end = "completed"
        except WorkflowFailureError as error:
            job.end = _end(error)
        except RPCError as error:
            job.end = "lost" if error.status is RPCStatusCode.NOT_FOUND else f"unknown: {error}"
        if cancelling is not None:
            await cancelling

    async def _cancel(self, job: Job, seconds: float) -> None:
        await asyncio.sleep(seconds)
        handle = self._client.get_workflow_handle(job.id)
        with contextlib.suppress(RPCError):  # it has ended already
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                await handle.cancel()


def _end(error: WorkflowFailureError) -> str:
    cause = error.cause
    if isinstance(cause, Cancelled):
        return "cancelled"
    if isinstance(cause, ApplicationError) and cause.type == "SagaRolledBack":
        return "rolled back" if "'last'" in str(cause) else f"rolled back, but: {cause}"
    return f"{type(cause).__name__}: {cause}"


async def run(address: str, folder: Path, options: argparse.Namespace) -> tuple[Soak, Shelf, Clerk, str]:
    """Runs the soak on a server; returns everything that the report needs, with the workers' logs last."""
    shelf, clerk, queue = Shelf(folder / "shelf.sqlite"), Clerk(), f"soak-{uuid4()}"
    client = await Client.connect(address)
    with ModelServer.in_thread() as models:
        models.default = clerk.answer
        environment = {**models.environment, VARIABLE: str(folder / "shelf.sqlite")}
        pool = WorkerPool(
            options.workers,
            address=address,
            queue=queue,
            bundle="benchmarks.shelf:shelf",
            folder=folder,
            **environment,
        )
        async with pool:
            soak = Soak(client, queue, pool, options)
            await soak.run()
    await soak.read_histories()
    return soak, shelf, clerk, pool.logs()


def report(soak: Soak, shelf: Shelf, clerk: Clerk, seconds: float) -> tuple[Table, dict[str, list[str]]]:
    """Makes the table; returns it with the violations."""
    moments = shelf.moments()
    found = audit(soak.jobs, shelf.standing(), moments, clerk.requests)
    stories = [story for job in soak.jobs for story in job.stories]
    calls = [call for story in stories for call in story.calls]
    ends = Counter(job.end for job in soak.jobs)
    models = [call for call in calls if call.type == CALL_MODEL]
    undos = [call for call in calls if call.is_undo]
    rows: list[tuple[str, object]] = [
        ("workers killed", len(soak.at_kills)),
        (
            "tasks under way at a kill, least / most",
            f"{min(soak.at_kills, default=0)} / {max(soak.at_kills, default=0)}",
        ),
        ("tasks", len(soak.jobs)),
        *((f"  {end}", count) for end, count in sorted(ends.items())),
        ("child workflows", len(stories) - len(soak.jobs)),
        ("calls", len(calls) - len(undos) - len(models)),
        ("  cut short by a kill, and made again", _again(calls) - _again(undos) - _again(models)),
        ("undos", len(undos)),
        ("  cut short by a kill, and made again", _again(undos)),
        ("model calls", len(models)),
        ("  requests", len(clerk.requests)),
        ("  cut short by a kill, and made again", _again(models)),
        (
            "effects that landed after their undo, and were refused",
            sum(m.action == "refused" for m in moments),
        ),
        ("workflow tasks that timed out / failed", _turns(stories)),
        *((rule, len(found[rule])) for rule in RULES),
    ]
    table = Table(title=f"{seconds:.0f} s with a kill -9 every few seconds")
    table.add_column("")
    table.add_column("", justify="right")
    for name, value in rows:
        colour = "" if name not in RULES else "red" if value else "green"
        table.add_row(name, str(value), style=colour)
    return table, found


def _again(calls: list[Any]) -> int:
    return sum(call.attempt > 1 for call in calls)


def _turns(stories: list[Story]) -> str:
    failed = Counter(cause for story in stories for cause in story.failed)
    causes = f" {dict(failed)}" if failed else ""
    return f"{sum(story.timed_out for story in stories)} / {sum(failed.values())}{causes}"


def main() -> None:
    """Runs the soak, prints the table, and exits with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200, help="tasks under way at once (default 200)")
    parser.add_argument(
        "--seconds", type=float, default=120, help="how long workers are killed (default 120)"
    )
    parser.add_argument("--every", type=float, default=5, help="seconds between two kills (default 5)")
    parser.add_argument("--workers", type=int, default=3, help="worker processes (default 3)")
    parser.add_argument("--pace", type=float, default=6, help="the most seconds of one call (default 6)")
    parser.add_argument(
        "--patience", type=float, default=180, help="seconds after which a task is stuck (default 180)"
    )
    parser.add_argument("--logs", type=Path, help="where to keep what the workers print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, temporal_server() as server:
        soak, shelf, clerk, logs = asyncio.run(run(server.address, Path(folder), options))
        table, found = report(soak, shelf, clerk, options.seconds)
    if options.logs is not None:
        options.logs.write_text(logs)
    console = Console()
    console.print(table)
    for rule, lines in found.items():
        for line in lines[:SHOWN]:
            console.print(f"{rule}: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
