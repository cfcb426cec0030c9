"""`make demo`: what it shows."""

from __future__ import annotations

from pathlib import Path

from counterstep.tests.support.processes.demos import play_demo
from examples.trip import demo
from examples.trip.store import Store


def test_the_demo_shows_the_rows_of_both_trips(tmp_path: Path) -> None:
    played = play_demo("examples.trip.demo", tmp_path, "TRIP_DB")
    for scene in demo.SCENES:
        assert scene.proof in played.stdout
    left = Store(str(tmp_path / ".counterstep" / "trip.sqlite")).left()
    assert (left["flight AZ573"], left["hotel artemide"], left["car fiat500"]) == (8, 8, 8)
