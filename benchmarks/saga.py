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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from benchmarks.by_hand import STATE, TASK
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
    is_task: bool = False
    is_in_search: bool = False
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
        named = {TASK: side.workflow, STATE: "running"} if side.is_in_search else {}
        pairs = TypedSearchAttributes([SearchAttributePair(key, value) for key, value in named.items()])
        await client.start_workflow(
            side.workflow, side.argument, id=id_, task_queue=side.queue, search_attributes=pairs
        )
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


async def run(address: str, rounds: int, sagas: int, states: bool) -> list[Side]:
    """Measures all sides; ours is the first."""
    sides = [
        Side("Counterstep", "bench.saga", {"fails": True}, f"ours-{uuid4()}", is_task=True),
        Side("by hand", "SagaByHand", True, f"hand-{uuid4()}"),
    ]
    if states:
        sides.append(Side("with states", "SagaInSearch", True, f"states-{uuid4()}", is_in_search=True))
    client = await Client.connect(address)
    with contextlib.ExitStack() as workers:
        for side in sides:
            workers.enter_context(worker_process(address, side))
            for _ in range(5):
                handle = await one(client, side)
            side.events = len([event async for event in handle.fetch_history_events()])
        for index in range(rounds):
            first = index % len(sides)
            await measure(client, sides[first:] + sides[:first], sagas)
    return sides


def ratio(left: Sequence[float], right: Sequence[float]) -> str:
    """Returns the geometric mean of the rounds' ratios, and its standard error."""
    logs = [math.log(a / b) for a, b in zip(left, right, strict=True)]
    mean = math.exp(statistics.mean(logs))
    return f"{mean:.3f} ± {mean * statistics.stdev(logs) / math.sqrt(len(logs)):.3f}"


def report(ours: Side, others: Sequence[Side]) -> Table:
    """Makes the table: the medians of the rounds, and the mean of their ratios."""
    table = Table(title=f"5 steps, a fault at the fifth, 4 undos; {len(ours.rates)} rounds")
    table.add_column("")
    for heading in (ours.name, *(text for other in others for text in (other.name, "ratio"))):
        table.add_column(heading, justify="right")
    rows: list[tuple[str, Callable[[Side], Sequence[float]]]] = [
        ("latency, ms", lambda side: side.latencies),
        (f"sagas a second, {AT_ONCE} at once", lambda side: side.rates),
        ("worker CPU a saga, ms", lambda side: side.cpu),
    ]
    for name, of in rows:
        cells = [f"{statistics.median(of(ours)):.1f}"]
        for other in others:
            cells += [f"{statistics.median(of(other)):.1f}", ratio(of(ours), of(other))]
        table.add_row(name, *cells)
    events = [text for other in others for text in (str(other.events), f"{ours.events / other.events:.3f}")]
    table.add_row("history events", str(ours.events), *events)
    return table


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if (given := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{least} at least")
        return given

    return number


def main() -> None:
    """Runs the benchmark and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=_at_least(2), default=20, help="default 20")
    parser.add_argument("--sagas", type=_at_least(4), default=32, help="in one turn (default 32)")
    parser.add_argument(
        "--states",
        action="store_true",
        help="beside a saga by hand, too, that writes its state for searches as each task does",
    )
    given = parser.parse_args()
    with temporal_server() as server:
        ours, *others = asyncio.run(run(server.address, given.rounds, given.sagas, given.states))
    Console(width=110).print(report(ours, others))


if __name__ == "__main__":
    main()
