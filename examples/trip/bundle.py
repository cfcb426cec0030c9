"""What a worker is given: ``counterstep worker --bundle examples.trip.bundle:trip``."""

from __future__ import annotations

from .book_trip import BookTrip
from .tools import trip

trip.add_task("trip.yaml")
trip.add(BookTrip)

__all__ = ["trip"]
