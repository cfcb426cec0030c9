"""The demo of the tour: a plan is booked, the world changes in the middle, and only what differs changes."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..stage import IsRunning, as_promised, command, exit_with, play, program, say, show
from .store import BOOKED, CANCELLED, BookingRow, store
from .tools import SILENT
from .tour_script import tour_played

TEAM = Path(__file__).with_name("tour_team.yaml")
SPEC = Path(__file__).with_name("tour.yaml")
CLOSED, INSTEAD = "davanzati", "brunelleschi"
IN_THE_MIDDLE = 6
"""So much is booked of nine operations when the rest waits for a restaurant."""


@dataclass(frozen=True)
class Scene:
    """One tour in the middle of which the hotel in Florence closes.

    Attributes:
        title: What is about to be shown.
        budget: The traveller's, in EUR.
        is_repaired: Whether the other hotel is within it; else the tour is undone.
        proof: What the rows prove, when they are as they must be.
    """

    title: str
    budget: int
    is_repaired: bool
    proof: str


SCENES = [
    Scene(
        title="The hotel in Florence closes when six of nine operations are booked; there is another one",
        budget=1500,
        is_repaired=True,
        proof="One booking is cancelled and one is made; all others have the numbers that they had.",
    ),
    Scene(
        title="The same with less money: the other hotel is too expensive, and all is undone",
        budget=1200,
        is_repaired=False,
        proof="The tour was undone: nothing of it stands.",
    ),
]

TEAM_TITLE = (
    "A team books it: a table is gone, the other one is too expensive, and a museum is left out for it"
)
TEAM_PROOF = "The museum is cancelled and the other table is booked; all else has the numbers that it had."


def main() -> int:
    """Plays the scenes; returns 0 if the database was as promised after each of them."""
    database = store()
    database.restock()
    silent = Path(".counterstep") / "restaurants_silent"
    for number, scene in enumerate(SCENES, 1):
        say(f"\n{number}. {scene.title}")
        silent.touch()
        before: list[BookingRow] = []
        tour_id = f"tour-demo-{uuid.uuid4().hex[:8]}"
        code, result = _run(tour_id, scene, before, silent)
        if result is None or code not in (0, 1):
            say(f"\nThe run has ended with code {code}; the reason is above.")
            return code or 1
        after = database.bookings(tour_id)
        _show(before, after)
        if not as_promised(differences(scene, str(result.get("state")), before, after), scene.proof):
            return 1
    code = _play_team(silent)
    if code:
        return code
    say("\nThe tours are in the Web UI, at the addresses above. To end the server:\n")
    say(f"$ {program()} server --stop")
    return 0


def differences(
    scene: Scene, state: str, before: Sequence[BookingRow], after: Sequence[BookingRow]
) -> list[str]:
    """Says where the bookings are not as the scene promises.

    Args:
        scene: What was played.
        state: How the task has ended.
        before: The bookings when the hotel closed.
        after: All rows of the tour in the end.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    promised = "completed" if scene.is_repaired else "rolled_back"
    found = [] if state == promised else [f"the task must end {promised}, and it is {state}"]
    if len(before) != IN_THE_MIDDLE:
        found.append(f"{IN_THE_MIDDLE} operations must be booked in the middle, and {len(before)} are")
    stand = {row.offer: row.booking_id for row in after if row.state == BOOKED}
    if not scene.is_repaired:
        return found + [f"{offer} is still booked" for offer in stand]
    kept = {row.offer: row.booking_id for row in before if row.offer != CLOSED}
    found += [
        f"{offer} must be booking {number}, and it is {stand.get(offer, 'none')}"
        for offer, number in kept.items()
        if stand.get(offer) != number
    ]
    if CLOSED in stand or INSTEAD not in stand:
        found.append(f"{INSTEAD} must take the place of {CLOSED}")
    if len(stand) != 9:
        found.append(f"9 operations must be booked, and {len(stand)} are")
    return found


def team_differences(state: str, before: Sequence[BookingRow], after: Sequence[BookingRow]) -> list[str]:
    """Says where the bookings of the team are not as its scene promises.

    Args:
        state: How the task has ended.
        before: The bookings when the table was gone.
        after: All rows of the tour in the end.

    Returns:
        One sentence for each difference; none when all is as promised.
    """
    found = [] if state == "completed" else [f"the task must end completed, and it is {state}"]
    stand = {row.offer: row.booking_id for row in after if row.state == BOOKED}
    cancelled = [row.offer for row in after if row.state == CANCELLED]
    if cancelled != ["borghese"]:
        found.append(
            f"borghese must be cancelled and nothing else, and it is {', '.join(map(str, cancelled))}"
        )
    if "zaza" not in stand or len(stand) != 8:
        found.append(f"8 bookings with zaza must stand, and it is {', '.join(map(str, stand))}")
    return found + [
        f"{row.offer} must be booking {row.booking_id}, and it is {stand.get(row.offer, 'none')}"
        for row in before
        if row.offer != "borghese" and stand.get(row.offer) != row.booking_id
    ]


def _play_team(silent: Path) -> int:
    """Plays the scene of the team, whose models a script plays."""
    say(f"\n{len(SCENES) + 1}. {TEAM_TITLE}\n\nA script plays the agents, by rules: no key is needed.")
    silent.touch()
    before: list[BookingRow] = []
    tour_id = f"tour-demo-{uuid.uuid4().hex[:8]}"
    words = ["run", os.path.relpath(TEAM), "--bundle", "examples.trip.bundle:trip"]
    words += ["--input", "origin=Zurich", "--input", "budget=1110"]

    def meanwhile(is_running: IsRunning) -> None:
        while is_running() and len(store().bookings(tour_id, [BOOKED])) != IN_THE_MIDDLE:
            time.sleep(0.1)
        before.extend(store().bookings(tour_id, [BOOKED]))
        say("\nThe last table at Trattoria Mario goes to somebody else.\n")
        store().sell_out("table", "mario")
        silent.unlink()

    environment = {SILENT: str(silent.resolve())}
    with tour_played() as scripted:
        os.environ.update(scripted)
        code, result = play(words, tour_id, environment=environment, meanwhile=meanwhile)
    store().restock()
    if result is None or code not in (0, 1):
        say(f"\nThe run has ended with code {code}; the reason is above.")
        return code or 1
    after = store().bookings(tour_id)
    _show(before, after)
    return 0 if as_promised(team_differences(str(result.get("state")), before, after), TEAM_PROOF) else 1


def _run(
    tour_id: str, scene: Scene, before: list[BookingRow], silent: Path
) -> tuple[int, Mapping[str, Any] | None]:
    inputs = {"origin": "Zurich", "budget": scene.budget}
    words = ["run", os.path.relpath(SPEC), "--bundle", "examples.trip.bundle:trip"]
    words += [word for name, value in inputs.items() for word in ("--input", f"{name}={value}")]

    def stands() -> dict[str | None, BookingRow]:
        return {row.offer: row for row in store().bookings(tour_id, [BOOKED])}

    def until(is_so: Callable[[], bool], is_running: IsRunning) -> None:
        while is_running() and not is_so():
            time.sleep(0.1)

    def meanwhile(is_running: IsRunning) -> None:
        until(lambda: len(stands()) == IN_THE_MIDDLE, is_running)
        before.extend(stands().values())
        command("amend", tour_id, f'closed=["{CLOSED}"]', "--note", "the hotel has closed")
        if scene.is_repaired:
            until(lambda: INSTEAD in stands(), is_running)
        silent.unlink()

    environment = {SILENT: str(silent.resolve())}
    return play(words, tour_id, environment=environment, meanwhile=meanwhile)


def _show(before: Sequence[BookingRow], after: Sequence[BookingRow]) -> None:
    then = {row.booking_id: row.state for row in before}
    header = ("booking", "key", "kind", "what", "EUR", "in the middle", "in the end")
    lines = [
        (r.booking_id, r.key, r.kind, r.what, r.price, then.get(r.booking_id, ""), r.state) for r in after
    ]
    show("Its rows in the table trip_bookings:", header, lines)


if __name__ == "__main__":
    exit_with(main, "TRIP_DB")
