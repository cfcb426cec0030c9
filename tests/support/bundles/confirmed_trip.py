"""The example `trip`, and a trip that is booked only when somebody has said yes to its price."""

from __future__ import annotations

from pathlib import Path

from counterstep.bundle.yaml_document import read_document
from examples.trip import bundle
from examples.trip.bundle import trip

_TRIP = read_document((Path(bundle.__file__).parent / "trip.yaml").read_text(), "trip.yaml")

trip.add_task(
    {
        **_TRIP,
        "name": "confirmed_trip",
        "goal": "Book a weekend trip that the traveller has agreed to.",
        "deadline": "2h",
        "steps": [
            *_TRIP["steps"],
            {
                "id": "confirm",
                "needs": ["plan"],
                "approve": {
                    "ask": "Pay ${{ steps.plan.output.total }} EUR for this trip?",
                    "show": "steps.plan.output",
                    "deadline": "1h",
                    "default": "reject",
                },
            },
        ],
    }
)
