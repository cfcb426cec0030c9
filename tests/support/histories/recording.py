"""Records the histories that every later version has to replay: ``make histories``.

Without names it records the scenes of which this version has no recording yet; what is recorded stays as it
is, because it is evidence. Names record these scenes again, ``--all`` records all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHistory

from counterstep.tests.support.histories import histories
from counterstep.tests.support.scenes import (
    agents,
    approvals,
    events,
    handoffs,
    nested,
    people,
    plans,
    sagas,
    tasks,
    teams,
    waits,
)
from counterstep.tests.support.scenes.scene import OPEN, SCENES, Handle, Scene
from counterstep.tests.support.scenes.stage import Theatre, theatre
from counterstep.tests.support.tasks.recovery import until_closed
from counterstep.tests.support.tasks.tasks import end_of

MODULES = (tasks, people, approvals, waits, nested, agents, handoffs, teams, plans, sagas, events)
"""Loading them has filled `SCENES`."""


async def record(scenes: Sequence[Scene], folder: Path) -> None:
    """Plays scenes and keeps their histories.

    Raises:
        AssertionError: A scene did not end as it says.
    """
    with tempfile.TemporaryDirectory(prefix="counterstep-") as name:
        for short in (False, True):
            mine = [scene for scene in scenes if scene.short_histories is short]
            if not mine:
                continue
            desks = Path(name) / str(short)
            desks.mkdir()
            async with theatre(desks, short_histories=short) as place:
                for scene in mine:
                    await _record(scene, place, folder)


async def _record(scene: Scene, place: Theatre, folder: Path) -> None:
    began = time.monotonic()
    async with place.stage(scene.name) as stage:
        played = await scene.play(stage)
        handles = list(played) if isinstance(played, Sequence) else [played]
        if scene.ends != OPEN:
            end = await end_of(handles[0])
            assert end.type == scene.ends, f"{scene.name} ends as {end.type}, not as {scene.ends}: {end}"
        found = await _histories(stage.client, handles, closed=scene.ends != OPEN)
    histories.write(folder, scene.name, found)
    seconds = time.monotonic() - began
    sys.stdout.write(f"{scene.name}: {len(found)} in {seconds:.1f} s\n")


async def _histories(client: Client, handles: Sequence[Handle], *, closed: bool) -> list[WorkflowHistory]:
    """Fetches the histories of these workflows, of their later runs and of all their children."""
    open_ = deque((handle.id, handle.result_run_id or handle.run_id) for handle in handles)
    found: list[WorkflowHistory] = []
    while open_:
        id_, run = open_.popleft()
        handle = client.get_workflow_handle(id_, run_id=run)
        if closed:
            await until_closed(handle)
        history = await handle.fetch_history()
        found.append(history)
        open_.extend(_further(history))
    return found


def _further(history: WorkflowHistory) -> list[tuple[str, str]]:
    further = []
    for event in history.events:
        attributes: Any = getattr(event, event.WhichOneof("attributes") or "", None)
        if event.HasField("child_workflow_execution_started_event_attributes"):
            child = attributes.workflow_execution
            further.append((child.workflow_id, child.run_id))
        elif event.HasField("workflow_execution_continued_as_new_event_attributes"):
            further.append((history.workflow_id, attributes.new_execution_run_id))
    return further


def chosen(arguments: Sequence[str], folder: Path) -> list[Scene]:
    """Reads the command's arguments.

    Args:
        arguments: As they were typed.
        folder: Where this version records.

    Returns:
        What is to be recorded.
    """
    parser = argparse.ArgumentParser(prog="make histories", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="record this one, again if need be")
    parser.add_argument("--all", action="store_true", help="record all, also those that are recorded already")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.scenes if name not in SCENES]
    if unknown:
        parser.error(f"there is no scene {', '.join(unknown)}; there are {', '.join(SCENES)}")
    if asked.all:
        return list(SCENES.values())
    if asked.scenes:
        return [SCENES[name] for name in asked.scenes]
    return [scene for scene in SCENES.values() if not histories.files_of(folder, scene.name)]


def main() -> None:
    """The command."""
    folder = histories.folder_of_this_version()
    scenes = chosen(sys.argv[1:], folder)
    began = time.monotonic()
    logging.disable(logging.WARNING)  # most scenes are of failures
    asyncio.run(record(scenes, folder))
    seconds = time.monotonic() - began
    sys.stdout.write(f"{len(scenes)} scenes in {seconds:.0f} s, kept in {folder.resolve()}\n")


if __name__ == "__main__":
    main()
