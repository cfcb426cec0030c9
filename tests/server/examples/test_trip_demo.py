"""`make demo` and `make demo-plan`: what they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from counterstep.tests.support.processes.demos import play_demo
from examples.trip import demo, tour_demo
from examples.trip.store import Store

pytestmark = pytest.mark.long


def test_the_demo_shows_the_rows_of_both_trips(tmp_path: Path) -> None:
    played = play_demo("examples.trip.demo", tmp_path, "TRIP_DB")
    for scene in demo.SCENES:
        assert scene.proof in played.stdout
    left = Store(str(tmp_path / ".counterstep" / "trip.sqlite")).left()
    assert (left["flight AZ573"], left["hotel artemide"], left["car fiat500"]) == (8, 8, 8)


@pytest.mark.slow
def test_the_demo_of_the_tour_shows_what_stays_booked(tmp_path: Path) -> None:
    played = play_demo("examples.trip.tour_demo", tmp_path, "TRIP_DB")
    for scene in tour_demo.SCENES:
        assert scene.proof in played.stdout
    assert tour_demo.TEAM_PROOF in played.stdout
