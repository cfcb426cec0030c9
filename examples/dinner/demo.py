"""The demo: a day is planned, James's flight is late, and two of six entries of the calendar change."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..stage import as_promised, command, exit_with, play, program, say, show, worker
from .bundle import ENTERED, rows

BUNDLE = "examples.dinner.bundle:dinner"
SPEC = Path(__file__).with_name("dinner.yaml")
PROOF = "The car and the drive from BOS are entered anew; the other four entries are the same rows as before."
_ASKS_A_PERSON = 3
"""The exit code of a run that waits for a person."""

Rows = Sequence[Mapping[str, Any]]


def main() -> int:
    """Plays the day; returns 0 if the calendar was as promised."""
    task_id = f"dinner-demo-{uuid.uuid4().hex[:8]}"
    words = ["run", os.path.relpath(SPEC), "--bundle", BUNDLE]
    code, result = play(words, task_id)
    if code != _ASKS_A_PERSON:
        say(f"\nThe run has ended with code {code} and not asked; the reason is above.")
        return code or 1
    before = rows(task_id)
    _show("The calendar as it was planned:", before)
    say("\nAt 10:00 it is known that James lands at 16:00.")
    with worker(BUNDLE, task_id, {}):
        command("amend", task_id, "james_lands=16:00", "--note", "the flight is late")
        for _ in range(600):
            if len(rows(task_id)) >= len(before) + 2:
                break
            time.sleep(0.1)
    code, _ = play(words, task_id)  # it asks again, about the new plan
    with worker(BUNDLE, task_id, {}):
        command("approve", task_id, "morning", "--by", "demo")
    code, result = play(words, task_id)
    after = rows(task_id)
    _show("The calendar in the end:", after)
    if not as_promised(differences(str((result or {}).get("state")), before, after), PROOF):
        return code or 1
    say(f"\nTo end the server:\n\n$ {program()} server --stop")
    return 0


def differences(state: str, before: Rows, after: Rows) -> list[str]:
    """Says where the calendar is not as promised: one sentence for each difference."""
    found = [] if state == "completed" else [f"the task must end completed, and it is {state}"]
    stand = {row["key"] for row in after if row["state"] == ENTERED}
    kept = [row["what"] for row in before if row["key"] in stand]
    if sorted(kept) != ["drive", "drive", "side dishes", "turkey"]:
        found.append(f"two drives and two dishes must be the same entries as before, and it is {kept}")
    if len(stand) != len(before) or len(after) != len(before) + 2:
        found.append(f"6 of 8 entries must stand, and it is {len(stand)} of {len(after)}")
    return found


def _show(title: str, entries: Rows) -> None:
    columns = ("entry", "who", "what", "start", "end", "origin", "to", "state")
    show(title, columns, [[row[name] for name in columns] for row in entries])


if __name__ == "__main__":
    exit_with(main, "DINNER_DB")
