"""How long a rollback takes, and how soon a task goes on after a kill: ``make rollback``.

First, twenty steps in four layers of five are rolled back, each undo taking 100 ms, and beside them a chain
of four such steps: the longest path through the graph. They take turns on one server and one worker, and a
rollback is measured by the server's clock, from the failure to the end of the task.

Then workers are killed (kill -9) at random moments while they run a call, and the time is taken until the
next step of those tasks starts. Exits with 1 where a bound is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowFailureError

from benchmarks.layers import LAYERS, UNDO_SECONDS, VARIABLE, WIDTH, begun
from benchmarks.pool import WorkerPool
from counterstep.saga.calls.timeouts_and_retries import HEARTBEAT
from counterstep.testing.server import temporal_server

BOUND = 1.3
"""The longest that a rollback may take, in times of its longest path."""

LATE = 2.0
"""Seconds after the heartbeat timeout at which the next step must have started."""


@dataclass(slots=True)
class Shape:
    """One of the tasks that are rolled back.

    Attributes:
        task: Its workflow type.
        seconds: How long its rollbacks took.
        at_once: The most undos that ran at once in each.
        in_order: Whether the undos ran in the reverse order of the steps, where they run one by one.
    """

    task: str
    seconds: list[float] = field(default_factory=list)
    at_once: list[int] = field(default_factory=list)
    in_order: list[bool] = field(default_factory=list)


async def roll_back(client: Client, queue: str, shape: Shape) -> None:
    """Runs one task to its rollback."""
    handle = await client.start_workflow(shape.task, {}, id=f"rollback-{uuid4()}", task_queue=queue)
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
        raise AssertionError("the task must fail")
    names: dict[int, str] = {}
    calls: list[str] = []
    spans: dict[str, list[float]] = {}
    failed = ended = 0.0
    async for event in handle.fetch_history_events():
        ended = event.event_time.ToNanoseconds() / 1e9
        if event.HasField("activity_task_scheduled_event_attributes"):
            name = event.activity_task_scheduled_event_attributes.activity_id
            names[event.event_id] = name
            if name.endswith("/undo#1"):
                spans[name] = [ended]
            else:
                calls.append(name)
        elif event.HasField("activity_task_completed_event_attributes"):
            name = names[event.activity_task_completed_event_attributes.scheduled_event_id]
            if name in spans:
                spans[name].append(ended)
        elif event.HasField("activity_task_failed_event_attributes"):
            failed = ended
    assert len(spans) == len(calls) - 1, "every step but the one that fails is undone"
    undone = sorted(spans, key=lambda name: spans[name][1])
    shape.seconds.append(ended - failed)
    shape.at_once.append(_most_at_once(list(spans.values())))
    shape.in_order.append([name.replace("/undo", "") for name in undone] == calls[-2::-1])


def _most_at_once(spans: Sequence[Sequence[float]]) -> int:
    return max(sum(begin <= start < end for begin, end in spans) for start, _ in spans)


async def measure_rollbacks(address: str, folder: Path, rounds: int) -> tuple[Shape, Shape, Shape]:
    """Measures the graph, its longest path, and the graph one by one, in turns."""
    shapes = Shape("layers.graph"), Shape("layers.chain"), Shape("layers.one_by_one")
    queue = f"rollback-{uuid4()}"
    client = await Client.connect(address)
    async with _pool(1, address, queue, folder):
        for shape in shapes:
            await roll_back(client, queue, Shape(shape.task))  # the first one of a process is slower
        for _ in range(rounds):
            for shape in shapes:
                await roll_back(client, queue, shape)
    return shapes


async def measure_kills(address: str, folder: Path, kills: int, tasks: int) -> list[float]:
    """Kills the worker that runs the calls of some tasks, again and again.

    Returns:
        For each task the seconds from the kill to the start of the next step.
    """
    queue = f"kills-{uuid4()}"
    client = await Client.connect(address)
    waits: list[float] = []
    async with _pool(2, address, queue, folder) as pool:
        for _ in range(kills):
            ids = [f"kill-{uuid4()}" for _ in range(tasks)]
            handles = [
                await client.start_workflow("layers.interrupted", {}, id=id_, task_queue=queue) for id_ in ids
            ]
            victims = [(await _until(folder, id_, "hang"))[0] for id_ in ids]
            await asyncio.sleep(random.uniform(0, HEARTBEAT.total_seconds()))
            victim = random.choice(victims)
            killed = await asyncio.to_thread(pool.kill, victim)
            hit = [id_ for id_, pid in zip(ids, victims, strict=True) if pid == victim]
            waits += [(await _until(folder, id_, "go_on"))[1] - killed for id_ in hit]
            for id_, handle in zip(ids, handles, strict=True):
                if id_ not in hit:
                    await handle.terminate()
    return waits


async def _until(folder: Path, task: str, what: str, seconds: float = 60) -> tuple[int, float]:
    deadline = time.monotonic() + seconds
    while (found := begun(folder, task, what)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} of {task} has not begun within {seconds} s")
        await asyncio.sleep(0.02)
    return found


def _pool(size: int, address: str, queue: str, folder: Path) -> WorkerPool:
    return WorkerPool(
        size,
        address=address,
        queue=queue,
        bundle="benchmarks.layers:layers",
        folder=folder,
        **{VARIABLE: str(folder)},
    )


def rollback_table(shapes: Sequence[Shape]) -> Table:
    """Shows the rollbacks."""
    table = Table(
        title=f"Rollback of {LAYERS * WIDTH} steps in {LAYERS} layers of {WIDTH}, undos of "
        f"{1000 * UNDO_SECONDS:.0f} ms; {len(shapes[0].seconds)} rounds in turns"
    )
    for heading in ("", "median, ms", "least", "most", "undos at once", "to the longest path"):
        table.add_column(heading, justify="left" if not heading else "right")
    path = statistics.median(shapes[1].seconds)
    for name, shape in zip(("the graph", f"its longest path: {LAYERS}", "one by one"), shapes, strict=True):
        median = statistics.median(shape.seconds)
        times = [f"{1000 * x:.0f}" for x in (median, min(shape.seconds), max(shape.seconds))]
        table.add_row(name, *times, str(max(shape.at_once)), f"{median / path:.2f}")
    return table


def kill_table(waits: Sequence[float], kills: int) -> Table:
    """Shows how soon tasks went on."""
    heartbeat = HEARTBEAT.total_seconds()
    table = Table(title=f"From kill -9 to the start of the next step; {kills} kills, {len(waits)} tasks")
    for heading in ("", "least", "median", "most"):
        table.add_column(heading, justify="left" if not heading else "right")
    three = (min(waits), statistics.median(waits), max(waits))
    table.add_row("seconds", *(f"{wait:.2f}" for wait in three))
    table.add_row(
        f"beyond the heartbeat timeout of {heartbeat:.0f} s", *(f"{x - heartbeat:+.2f}" for x in three)
    )
    return table


def faults(shapes: Sequence[Shape], waits: Sequence[float]) -> list[str]:
    """Says which bounds are not kept."""
    graph, path, one_by_one = shapes
    ratio = statistics.median(graph.seconds) / statistics.median(path.seconds)
    found = []
    if ratio > BOUND:
        found.append(f"the rollback takes {ratio:.2f} times its longest path; the most is {BOUND}")
    if max(one_by_one.at_once) > 1 or not all(one_by_one.in_order):
        found.append("one by one was not one by one, newest first")
    if max(waits) > HEARTBEAT.total_seconds() + LATE:
        found.append(f"a step started {max(waits):.2f} s after a kill")
    return found


def main() -> None:
    """Measures, prints the tables, and exits with 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="rollbacks of each shape (default 10)")
    parser.add_argument("--kills", type=int, default=6, help="how many workers are killed (default 6)")
    parser.add_argument("--tasks", type=int, default=6, help="tasks under way at a kill (default 6)")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as name, temporal_server() as server:
        shapes = asyncio.run(measure_rollbacks(server.address, Path(name), options.rounds))
        console.print(rollback_table(shapes))
    with tempfile.TemporaryDirectory() as name, temporal_server() as server:
        waits = asyncio.run(measure_kills(server.address, Path(name), options.kills, options.tasks))
        console.print(kill_table(waits, options.kills))
    found = faults(shapes, waits)
    for fault in found:
        console.print(fault, style="red")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
