"""What a call costs through the gateway of a process agent, beside the same call by our own agent loop.

Both agents do the same: so many turns, each with one tool call whose arguments are a page of text, against
the same scripted provider and the same tool. What they cost a call is the difference between a long and a
short run, so that neither the start of a process nor that of a task counts. Runs of both alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Agent, Bundle, Effect, ProcessAgent
from counterstep.plugin import CounterstepPlugin
from counterstep.testing.model_behaviour import Behaviour, call
from counterstep.testing.model_server import ModelServer
from counterstep.testing.server import temporal_server

SHORT, LONG = 2, 17
"""Turns; with more than 20 an agent of ours goes on in a child workflow."""

PAGE = "x" * 2_000

QUEUE = "gateway-benchmark"

desk = Bundle("desk")


@desk.tool(effect=Effect.READ_ONLY, repeats="allow")
async def note(text: str) -> int:
    """Counts the letters of a text."""
    return len(text)


for _turns in (SHORT, LONG):
    desk.add_task(
        desk.add(
            Agent(
                name=f"ours_{_turns}",
                description="Takes notes.",
                instructions="Take notes.",
                model="openai/bench",
                tools=[note],
                max_turns=LONG + 3,
            )
        )
    )
    desk.add_task(
        desk.add(
            ProcessAgent(
                name=f"process_{_turns}",
                description="Takes notes.",
                command=[sys.executable, str(Path(__file__).with_name("gateway_agent.py"))],
                tools=[note],
                models=["openai/bench"],
            )
        )
    )


async def _seconds(client: Client, models: ModelServer, agent: str, turns: int, delay: float) -> float:
    """Runs one task to its end, and returns how long it has taken."""
    calls = [Behaviour.calls(call("note", text=f"{turn} {PAGE}")) for turn in range(turns)]
    answers = [*calls, Behaviour.text("done")]
    models.for_model("bench").reply(*(answer.with_(delay=delay) for answer in answers))
    began = time.perf_counter()
    await client.execute_workflow(
        f"desk.{agent}_{turns}", {}, id=f"{agent}-{turns}-{uuid4()}", task_queue=QUEUE
    )
    return time.perf_counter() - began


async def _size(client: Client, agent: str, turns: int) -> tuple[int, int]:
    """Returns events and bytes of the histories of the newest run, of its child too."""
    async for found in client.list_workflows(f"WorkflowType = 'desk.{agent}_{turns}'", limit=1):
        ids = [found.id]
        if agent == "process":
            ids.append(f"{found.id}/{agent}_{turns}/process#1")
        infos = [
            (await client.get_workflow_handle(id).describe()).raw_description.workflow_execution_info
            for id in ids
        ]
        return sum(info.history_length for info in infos), sum(info.history_size_bytes for info in infos)
    raise LookupError(agent)


async def _measure(address: str, rounds: int, delays: Sequence[float]) -> None:
    plugin = CounterstepPlugin(bundles=[desk])
    client = await Client.connect(address, plugins=[plugin])
    async with ModelServer() as models, Worker(client, task_queue=QUEUE):
        os.environ |= models.environment
        calls = 2 * (LONG - SHORT)  # a model call and a tool call a turn
        for pause in delays:
            each: dict[str, list[float]] = {"ours": [], "process": []}
            for number in range(rounds + 1):
                for agent, found in each.items():
                    short = await _seconds(client, models, agent, SHORT, pause)
                    long = await _seconds(client, models, agent, LONG, pause)
                    if number:  # the first round loads what is loaded once
                        found.append((long - short) / calls)
            ours, process = (1000 * statistics.median(found) for found in each.values())
            print(
                f"a provider that takes {1000 * pause:g} ms: a call by our loop {ours:.1f} ms, "
                f"through the gateway {process:.1f} ms, ratio {process / ours:.2f}"
            )
        for agent in ("ours", "process"):
            sizes = [await _size(client, agent, turns) for turns in (LONG, SHORT)]
            events, size = ((many - few) / calls for many, few in zip(*sizes, strict=True))
            print(f"{agent}: {events:.1f} events and {size:,.0f} bytes of history a call")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each run is measured")
    parser.add_argument(
        "--delays",
        type=float,
        nargs="+",
        default=[0.0, 0.2, 0.5],
        help="seconds that a model takes",
    )
    said: Any = parser.parse_args()
    with temporal_server() as server:
        asyncio.run(_measure(server.address, said.rounds, said.delays))


if __name__ == "__main__":
    main()
