"""What a process agent leaves is undone to the end, whatever becomes of its process meanwhile."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle, ProcessAgent, Undo
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.foreign.travel import AGENT
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.tasks.tasks import end_of


def desk(happened: list[str]) -> Bundle:
    """Returns a bundle whose undo takes some seconds."""
    bundle = Bundle("desk")

    @bundle.compensation
    async def take_back(undo: Undo[str]) -> None:
        happened.append(f"takes back {undo.output}")
        await asyncio.sleep(5)
        happened.append(f"has taken back {undo.output}")

    @bundle.tool(compensate=take_back)
    async def put(what: str) -> str:
        happened.append(f"put {what}")
        return what

    command = [sys.executable, str(AGENT)]
    clerk = ProcessAgent(
        name="clerk",
        description="Puts.",
        command=command,
        tools=[put],
        models=["openai/m"],
        on_divergence="undo",
    )
    bundle.add(clerk)
    step = {"id": "a", "agent": "desk.clerk", "input": "${{ task }}", "retry": {"initial": "100ms"}}
    output = "${{ steps.a.output }}"
    bundle.add_task({"name": "t", "input": {"type": "object"}, "steps": [step], "output": output})
    return bundle


TAKEN_BACK = ["put flight", "takes back flight", "has taken back flight"]


@pytest.mark.parametrize(
    ("code", "is_cancelled", "ends", "happens"),
    [
        (0, False, "completed", TAKEN_BACK),
        pytest.param(1, False, "completed", [*TAKEN_BACK, "put hotel"], marks=pytest.mark.long),
        pytest.param(1, True, "cancelled", TAKEN_BACK, marks=pytest.mark.long),
    ],
)
async def test_an_undo_is_outlasted_by_the_task(
    server: EmbeddedServer,
    task_queue: str,
    tmp_path: Path,
    code: int,
    is_cancelled: bool,
    ends: str,
    happens: list[str],
) -> None:
    happened: list[str] = []
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([desk(happened)])])
    given: dict[str, Any] = {"mode": "leaves", "code": code, "remember": str(tmp_path)}
    async with Worker(client, task_queue=task_queue):
        handle = await client.start_workflow("desk.t", given, id=f"leaves-{uuid4()}", task_queue=task_queue)
        await until(lambda: "takes back flight" in happened)
        if is_cancelled:
            await handle.cancel()
        end = await end_of(handle)
        assert happened == happens
    assert end.type == ends
