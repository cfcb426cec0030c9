"""Counterstep beside a hand-written Temporal saga: ``make bench``.

Five steps, a fault at the fifth, four undos. Both sagas run on one server in one run, each with a worker
process of its own: for latency one by one in turns, for throughput in short turns, and for CPU both at the
same time, so that a busy machine slows both alike. Read the ratios, and how far they may be off.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
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
    latencies: list[float] = field(default_factory=list)  # of each round the median, in ms
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # of each round, in ms a saga
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


async def many(client: Client, side: Side, sagas: int, at_once: int) -> float:
    """Runs sagas side by side, and returns how many ended in a second."""
    gate = asyncio.Semaphore(at_once)

    async def bounded() -> None:
        async with gate:
            await one(client, side)

    start = time.perf_counter()
    await asyncio.gather(*(bounded() for _ in range(sagas)))
    return sagas / (time.perf_counter() - start)


async def measure(client: Client, sides: Sequence[Side], sagas: int) -> None:
    """Measures one round; who comes first in it has no advantage over all rounds."""
    took: dict[str, list[float]] = {side.name: [] for side in sides}
    for _ in range(sagas // 4):
        for side in sides:
            start = time.perf_counter()
            await one(client, side)
            took[side.name].append(1000 * (time.perf_counter() - start))
    for side in sides:
        side.latencies.append(statistics.median(took[side.name]))
        side.rates.append(await many(client, side, sagas, AT_ONCE))
    before = [await asyncio.to_thread(side.cpu_seconds) for side in sides]
    await asyncio.gather(*(many(client, side, sagas, AT_ONCE // len(sides)) for side in sides))
    for side, seconds in zip(sides, before, strict=True):
        side.cpu.append(1000 * (await asyncio.to_thread(side.cpu_seconds) - seconds) / sagas)


async def run(address: str, rounds: int, sagas: int) -> tuple[Side, Side]:
    """Measures both sides."""
    ours = Side("Counterstep", "bench.saga", {"fails": True}, f"ours-{uuid4()}", is_task=True)
    hand = Side("by hand", "SagaByHand", True, f"hand-{uuid4()}", is_task=False)
    client = await Client.connect(address)
    with worker_process(address, ours), worker_process(address, hand):
        for side in (ours, hand):
            for _ in range(5):
                handle = await one(client, side)
            side.events = len([event async for event in handle.fetch_history_events()])
        for index in range(rounds):
            await measure(client, (ours, hand) if index % 2 else (hand, ours), sagas)
    return ours, hand


def ratio(left: Sequence[float], right: Sequence[float]) -> str:
    """Returns the geometric mean of the rounds' ratios, and its standard error."""
    logs = [math.log(a / b) for a, b in zip(left, right, strict=True)]
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{math.exp(statistics.mean(logs)):.3f} ± {error:.3f}"


def report(ours: Side, hand: Side) -> Table:
    """Makes the table."""
    table = Table(title=f"5 steps, a fault at the fifth, 4 undos; {len(ours.rates)} rounds, medians")
    for heading in ("", ours.name, hand.name, "ratio"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows: list[tuple[str, Sequence[float], Sequence[float]]] = [
        ("latency, ms", ours.latencies, hand.latencies),
        (f"sagas a second, {AT_ONCE} at once", ours.rates, hand.rates),
        ("worker CPU a saga, ms", ours.cpu, hand.cpu),
    ]
    for name, left, right in rows:
        values = [format(statistics.median(side), ".1f") for side in (left, right)]
        table.add_row(name, *values, ratio(left, right))
    table.add_row("history events", str(ours.events), str(hand.events), f"{ours.events / hand.events:.3f}")
    return table


def _several(text: str) -> int:
    if (number := int(text)) < 2:
        raise argparse.ArgumentTypeError("one round does not tell how far its ratio may be off")
    return number


def main() -> None:
    """Runs the benchmark and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=_several, default=20, help="2 at least (default 20)")
    parser.add_argument("--sagas", type=int, default=32, help="sagas of one turn (default 32)")
    given = parser.parse_args()
    with temporal_server() as server:
        ours, hand = asyncio.run(run(server.address, given.rounds, given.sagas))
    Console().print(report(ours, hand))


if __name__ == "__main__":
    main()
