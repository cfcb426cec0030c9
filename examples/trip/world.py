"""What the fault explorer asks about a trip: see ``make explore``."""

from __future__ import annotations

from .store import BOOKED, store


def standing(task_id: str) -> list[str]:
    """Returns the idempotency keys of the bookings that stand for a trip."""
    return [row.key for row in store().bookings(task_id, [BOOKED])]


def restock(task_id: str) -> None:
    """Fills the inventory up before a trip, so that many of them do not sell it out."""
    store().restock()
