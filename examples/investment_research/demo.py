"""The demo: three quarters are researched, one whole and two undone, each with the rows and files."""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage import IsRunning, as_promised, command, exit_with, play, program, say, show
from .market import COMPANIES, WITHOUT_FILINGS, companies
from .store import ARCHIVE, CASE, NOTE, REPORT, SEAT, SEATS, Store, store

SPEC = Path(__file__).with_name("investment_research.yaml")

ITEMS = (
    "SELECT kind, state, count(*) AS items FROM research_items WHERE task = :task "
    "GROUP BY kind, state ORDER BY kind, state"
)

CANCELLED_AT = 10
"""So many reports stand when the last scene is cancelled."""


@dataclass(frozen=True)
class Scene:
    """One research, and what it must leave behind.

    Attributes:
        title: What is about to be shown.
        quarter: The quarter that is researched.
        archive: How the archive is, ``up`` or ``down``.
        is_cancelled: Whether the task is cancelled in the middle.
        state: How the task must end.
        proof: What rows and files prove, when they are as they must be.
    """

    title: str
    quarter: str
    archive: str
    is_cancelled: bool
    state: str
    proof: str


SCENES = [
    Scene(
        title=f"All is well, but {len(WITHOUT_FILINGS)} of {COMPANIES} companies have not filed anything",
        quarter="2026Q1",
        archive="up",
        is_cancelled=False,
        state="completed",
        proof="Every other company has its report, the note tells the gaps, and the seat is given back.",
    ),
    Scene(
        title="The archive takes no note, when all reports are written",
        quarter="2026Q2",
        archive="down",
        is_cancelled=False,
        state="rolled_back",
        proof="All reports and cases are undone, and the seat is free: nothing is left.",
    ),
    Scene(
        title=f"Somebody cancels it when {CANCELLED_AT} reports are written",
        quarter="2026Q3",
        archive="up",
        is_cancelled=True,
        state="cancelled",
        proof="What was written is undone, what was under way has left nothing, and the seat is free.",
    ),
]


def main() -> int:
    """Plays the scenes; returns 0 if the database was as promised after each of them."""
    database = store("")
    database.workplace.start_over()
    say("The companies, their names and all their figures are made up.")
    for number, scene in enumerate(SCENES, 1):
        say(f"\n{number}. {scene.title}")
        task_id = f"research-demo-{uuid.uuid4().hex[:8]}"
        before = database.workplace.files()
        _show("Before", database, task_id)
        code, result = _run(database, scene, task_id)
        if result is None or code not in (0, 1, 130):
            say(f"\nThe run has ended with code {code}; the reason is above.")
            return code or 1
        _show("After", database, task_id)
        output = result.get("output")
        if output:
            say(f"\nThe note:\n\n{database.workplace.read(output['note'])}")
        state = str(result.get("state"))
        if not as_promised(differences(scene, state, output, database, task_id, before), scene.proof):
            return 1
    say("\nAll of them are in the Web UI, at the addresses above. To end the server:\n")
    say(f"$ {program()} server --stop")
    return 0


def differences(
    scene: Scene, state: str, output: Any, database: Store, task_id: str, before: Sequence[str]
) -> list[str]:
    """Says where the database is not as the scene promises.

    Args:
        scene: What was played.
        state: How the task has ended.
        output: Its output; None where it has none.
        database: The database after it.
        task_id: The task.
        before: The files before it.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    found = []
    if state != scene.state:
        found.append(f"the task must end {scene.state}, and it is {state}")
    gaps = [companies()[place]["ticker"] for place in WITHOUT_FILINGS]
    covered = COMPANIES - len(gaps)
    promised = {SEAT: 1, CASE: covered, REPORT: covered, NOTE: 1} if scene.state == "completed" else {}
    items = database.workplace.items(task_id)
    standing = Counter(item.kind for item in items)
    if standing != promised:
        found.append(f"there must stand {promised or 'nothing'}; the rows say {dict(standing) or 'nothing'}")
    named = {item.file for item in items if item.file}
    new = set(database.workplace.files()) - set(before)
    if new != named:
        found.append(f"{len(named)} new files must be there, and {len(new)} are")
    if set(before) - set(database.workplace.files()):
        found.append("files of others are gone")
    if database.seats_taken():
        found.append(f"{database.seats_taken()} seats are still taken")
    told = [gap["ticker"] for gap in output["not_covered"]] if output else gaps
    if told != gaps:
        found.append(f"the note must tell the gaps {', '.join(gaps)}; it tells {', '.join(told) or 'none'}")
    return found


def _run(database: Store, scene: Scene, task_id: str) -> tuple[int, dict[str, Any] | None]:
    words = ["run", os.path.relpath(SPEC), "--bundle", "examples.investment_research.bundle:research"]
    words += ["--input", f"quarter={scene.quarter}", "--input", f"companies={COMPANIES}"]

    def cancel(is_running: IsRunning) -> None:
        while is_running():
            if len(database.workplace.items(task_id, REPORT)) >= CANCELLED_AT:
                _show("In the middle", database, task_id)
                command("cancel", task_id)
                return
            time.sleep(0.1)

    environment = {} if scene.archive == "up" else {ARCHIVE: scene.archive}
    return play(words, task_id, environment=environment, meanwhile=cancel if scene.is_cancelled else None)


def _show(when: str, database: Store, task_id: str) -> None:
    rows = [tuple(row) for row in database.workplace.ask(ITEMS, task=task_id)]
    show(f"{when}: {ITEMS}", ("kind", "state", "items"), rows or [("nothing", "", "")])
    files = database.workplace.files()
    own = {item.file for item in database.workplace.items(task_id)}
    free = SEATS - database.seats_taken()
    say(f"\n{when}: {len(own & set(files))} files of it, {len(files)} in all; {free} of {SEATS} seats free.")


if __name__ == "__main__":
    exit_with(main, "RESEARCH_FOLDER")
