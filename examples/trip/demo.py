"""The demo: one trip that is booked and one that is undone, each with the database rows to prove it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage import as_promised, exit_with, play, program, say, show
from .store import BOOKED, CANCELLED, BookingRow, store

SPEC = Path(__file__).with_name("trip.yaml")
KINDS = {"flight", "hotel", "car"}


@dataclass(frozen=True)
class Scene:
    """One run of the task, and what it must leave behind.

    Attributes:
        title: What is about to be shown.
        budget: The traveller's, in EUR.
        state: How the task must end.
        rows: The state that the row of each booking must have.
        proof: What the rows prove, when they are as they must be.
    """

    title: str
    budget: int
    state: str
    rows: str
    proof: str


SCENES = [
    Scene(
        title="A budget of 1000 EUR: flight, hotel and car are booked",
        budget=1000,
        state="completed",
        rows=BOOKED,
        proof="Three bookings stand, and of each there is one less.",
    ),
    Scene(
        title="A budget of 500 EUR: the price is known only when everything is booked, and it is too high",
        budget=500,
        state="rolled_back",
        rows=CANCELLED,
        proof="All three were booked, all three are cancelled, and the inventory is as it was.",
    ),
]


def main() -> int:
    """Plays the scenes; returns 0 if the database was as promised after each of them."""
    database = store()
    database.restock()
    for number, scene in enumerate(SCENES, 1):
        say(f"\n{number}. {scene.title}")
        trip_id = f"trip-demo-{uuid.uuid4().hex[:8]}"
        before = database.left()
        code, result = _run(trip_id, scene.budget)
        if result is None or code not in (0, 1):
            say(f"\nThe run has ended with code {code}; the reason is above.")
            return code or 1
        rows, after = database.bookings(trip_id), database.left()
        _show(rows, before, after)
        if not as_promised(differences(scene, str(result.get("state")), rows, before, after), scene.proof):
            return 1
    say("\nBoth trips are in the Web UI, at the addresses above. To end the server:\n")
    say(f"$ {program()} server --stop")
    return 0


def differences(
    scene: Scene,
    state: str,
    rows: Sequence[BookingRow],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> list[str]:
    """Says where the database is not as the scene promises.

    Args:
        scene: What was played.
        state: How the task has ended.
        rows: The rows of its bookings.
        before: How many of each offer were left before it.
        after: And how many after it.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    found = []
    if state != scene.state:
        found.append(f"the task must end {scene.state}, and it is {state}")
    for kind in sorted(KINDS):
        states = [row.state for row in rows if row.kind == kind]
        if states != [scene.rows]:
            found.append(f"one {kind} must be {scene.rows}; the rows say {', '.join(states) or 'nothing'}")
    taken = [f"{row.kind} {row.offer}" for row in rows if row.state == BOOKED]
    for offer in before:
        promised = before[offer] - taken.count(offer)
        if after.get(offer) != promised:
            found.append(f"of {offer} {promised} must be left, and {after.get(offer)} are")
    return found


def _run(trip_id: str, budget: int) -> tuple[int, dict[str, Any] | None]:
    inputs = {"origin": "Zurich", "destination": "Rome", "budget": budget}
    words = ["run", os.path.relpath(SPEC), "--bundle", "examples.trip.bundle:trip"]
    words += [word for name, value in inputs.items() for word in ("--input", f"{name}={value}")]
    return play(words, trip_id)


def _show(rows: Sequence[BookingRow], before: Mapping[str, int], after: Mapping[str, int]) -> None:
    header = ("booking", "kind", "what", "EUR", "state")
    lines = [(row.booking_id, row.kind, row.what, row.price, row.state) for row in rows]
    show("Its rows in the table trip_bookings:", header, lines)
    changes = [(offer, before[offer], after[offer]) for offer in before if before[offer] != after[offer]]
    show(
        "What changed in the table trip_inventory:",
        ("offer", "before", "now"),
        changes or [("nothing", "", "")],
    )


if __name__ == "__main__":
    exit_with(main, "TRIP_DB")
