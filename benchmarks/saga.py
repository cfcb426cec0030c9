"""Counterstep beside a hand-written Temporal saga: ``make bench``.

Five steps, a fault at the fifth, four undos. Both sagas run on one server in one run, in turns, each with a
worker process of its own, so that a busy machine slows both alike: read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from counterstep.client import TaskClient
from counterstep.testing.server import temporal_server

AT_ONCE = 16


@dataclass
class Side:
    """One of the two."""

    name: str
    workflow: str
    argument: Any
    queue: str
    is_task: bool
    latencies: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    events: int = 0
    worker: subprocess.Popen[str] | None = None

    def cpu_seconds(self) -> float:
        """Asks the worker what it has used so far."""
        assert self.worker is not None and self.worker.stdin is not None and self.worker.stdout is not None
        self.worker.stdin.write("cpu\n")
        self.worker.stdin.flush()
        return float(self.worker.stdout.readline())


@contextlib.contextmanager
def worker_process(address: str, side: Side) -> Iterator[None]:
    """Runs the worker of one side."""
    command = [sys.executable, "-m", "benchmarks.worker", address, side.queue]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        side.worker = process
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the worker has not started"
        try:
            yield
        finally:
            process.kill()


async def one(client: Client, side: Side) -> WorkflowHandle[Any, Any]:
    """Runs one saga to its rollback."""
    id_ = f"bench-{uuid4()}"
    if side.is_task:
        await TaskClient(client, task_queue=side.queue).start(side.workflow, side.argument, id=id_)
    else:
        await client.start_workflow(side.workflow, side.argument, id=id_, task_queue=side.queue)
    handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(id_)
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
        raise AssertionError("the saga must fail")
    return handle


async def measure(client: Client, side: Side, sagas: int) -> None:
    """Measures latency one by one, then throughput and CPU at 16 at once."""
    for _ in range(sagas // 4):
        start = time.perf_counter()
        await one(client, side)
        side.latencies.append(time.perf_counter() - start)
    gate = asyncio.Semaphore(AT_ONCE)

    async def bounded() -> None:
        async with gate:
            await one(client, side)

    cpu = await asyncio.to_thread(side.cpu_seconds)
    start = time.perf_counter()
    await asyncio.gather(*(bounded() for _ in range(sagas)))
    side.rates.append(sagas / (time.perf_counter() - start))
    side.cpu.append((await asyncio.to_thread(side.cpu_seconds) - cpu) / sagas)


async def run(address: str, rounds: int, sagas: int) -> tuple[Side, Side]:
    """Measures both sides in turns."""
    ours = Side("Counterstep", "bench.saga", {"fails": True}, f"ours-{uuid4()}", is_task=True)
    hand = Side("by hand", "SagaByHand", True, f"hand-{uuid4()}", is_task=False)
    client = await Client.connect(address)
    with worker_process(address, ours), worker_process(address, hand):
        for side in (ours, hand):
            for _ in range(5):
                handle = await one(client, side)
            side.events = len([event async for event in handle.fetch_history_events()])
        for _ in range(rounds):
            for side in (ours, hand):
                await measure(client, side, sagas)
    return ours, hand


def report(ours: Side, hand: Side) -> Table:
    """Makes the table."""
    table = Table(title=f"5 steps, a fault at the fifth, 4 undos; {len(ours.rates)} rounds in turns, medians")
    for heading in ("", ours.name, hand.name, "ratio"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: list[tuple[str, Sequence[float], Sequence[float], str]] = [
        ("latency, ms", [1000 * x for x in ours.latencies], [1000 * x for x in hand.latencies], ".1f"),
        (f"sagas a second, {AT_ONCE} at once", ours.rates, hand.rates, ".1f"),
        ("worker CPU a saga, ms", [1000 * x for x in ours.cpu], [1000 * x for x in hand.cpu], ".2f"),
        ("history events", [ours.events], [hand.events], ".0f"),
    ]
    for name, left, right, shape in rows:
        a, b = statistics.median(left), statistics.median(right)
        table.add_row(name, format(a, shape), format(b, shape), f"{a / b:.2f}")
    return table


def main() -> None:
    """Runs the benchmark and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn (default 5)")
    parser.add_argument("--sagas", type=int, default=80, help="sagas of one turn (default 80)")
    given = parser.parse_args()
    with temporal_server() as server:
        ours, hand = asyncio.run(run(server.address, given.rounds, given.sagas))
    Console().print(report(ours, hand))


if __name__ == "__main__":
    main()
