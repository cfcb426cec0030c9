"""What a worker is given: ``counterstep worker --bundle examples.trip.bundle:trip``."""

from __future__ import annotations

from .book_trip import BookTrip
from .tools import trip
from .tour import tour_planner
from .tour_team import tour_leader

trip.add_task("trip.yaml")
trip.add_task("tour.yaml")
trip.add_task("tour_team.yaml")
trip.add(BookTrip)

__all__ = ["tour_leader", "tour_planner", "trip"]
