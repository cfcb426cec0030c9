"""The tasks of ``make rollback``: graphs whose undos take 100 ms each, and a call that waits to be killed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from counterstep import Bundle, Effect, NotApplied, Undo, current_step

VARIABLE = "COUNTERSTEP_LAYERS"
"""Names the folder in which calls say that they have begun."""

UNDO_SECONDS = 0.1
LAYERS = 4
WIDTH = 5

layers = Bundle("layers")


@layers.tool(compensate="take_back")
async def put() -> None:
    """Does one step."""


@layers.compensation
async def take_back(undo: Undo[None]) -> None:
    """Undoes one step."""
    await asyncio.sleep(UNDO_SECONDS)


@layers.tool(effect=Effect.RETRIABLE)
async def fail() -> None:
    """Fails, and needs no undo."""
    raise NotApplied("no room")


@layers.tool(compensate="forget")
async def hang(seconds: float) -> None:
    """Says that it has begun; its first attempt takes some seconds then, all others none."""
    begin("hang")
    if current_step().attempt == 1:
        await asyncio.sleep(seconds)


@layers.compensation
async def forget(undo: Undo[None]) -> None:
    """Undoes nothing."""


@layers.tool(compensate="forget")
async def go_on() -> None:
    """Says that it has begun."""
    begin("go_on")


def begin(what: str) -> None:
    """Writes down which process has begun a step, and when."""
    step = current_step()
    place = Path(os.environ[VARIABLE]) / f"{step.task_id} {what} {step.attempt}"
    draft = place.with_suffix(".new")
    draft.write_text(json.dumps({"pid": os.getpid(), "at": time.time()}))
    draft.replace(place)


def begun(folder: Path, task: str, what: str, attempt: int = 1) -> tuple[int, float] | None:
    """Returns the process that has begun a step, and when; None where none has."""
    place = folder / f"{task} {what} {attempt}"
    if not place.exists():
        return None
    said = json.loads(place.read_text())
    return said["pid"], said["at"]


def graph(depth: int, width: int) -> list[dict[str, Any]]:
    """Returns layers of steps, each of which needs all steps of the layer before; at the end one fails."""
    steps: list[dict[str, Any]] = []
    before: list[str] = []
    for layer in range(depth):
        ids = [f"s{layer}_{place}" for place in range(width)]
        steps += [{"id": id_, "needs": before, "tool": "layers.put"} for id_ in ids]
        before = ids
    return [*steps, {"id": "end", "needs": before, "tool": "layers.fail"}]


layers.add_task({"name": "graph", "steps": graph(LAYERS, WIDTH)})
layers.add_task({"name": "chain", "steps": graph(LAYERS, 1)})
layers.add_task(
    {"name": "one_by_one", "steps": graph(LAYERS, WIDTH), "compensation": {"order": "sequential"}}
)
layers.add_task(
    {
        "name": "interrupted",
        "steps": [
            {"id": "hang", "tool": "layers.hang", "input": {"seconds": 50}},
            {"id": "next", "needs": ["hang"], "tool": "layers.go_on"},
        ],
    }
)
