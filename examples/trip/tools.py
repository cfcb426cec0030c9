"""What the agents of a trip can do, and how it is undone."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from counterstep import Bundle, Effect, NotApplied, Subject, Undo, Verdict, current_step

from .store import BOOKED, Booking, Offer, store

trip = Bundle("trip", stand_in=True)

SILENT = "TRIP_RESTAURANTS_SILENT"
"""Names a file; as long as it exists, no restaurant answers the telephone."""


class Bill(BaseModel):
    """What a trip costs, in EUR."""

    model_config = ConfigDict(frozen=True)

    total: int
    summary: str


@trip.tool(effect=Effect.READ_ONLY)
def search_flights(origin: str, destination: str) -> list[Offer]:
    """Lists flights from one city to another and back, the cheapest first."""
    return store().search("flight", destination, origin)


@trip.tool(effect=Effect.READ_ONLY)
def search_hotels(city: str) -> list[Offer]:
    """Lists hotels in a city, the cheapest first."""
    return store().search("hotel", city)


@trip.tool(effect=Effect.READ_ONLY)
def search_cars(city: str) -> list[Offer]:
    """Lists cars for hire in a city, the cheapest first."""
    return store().search("car", city)


@trip.tool(compensate="cancel_booking")
def book_flight(offer: str) -> Booking:
    """Books one seat on a flight, by the code of an offer that search_flights has listed."""
    return _book("flight", offer)


@trip.tool(compensate="cancel_booking")
def book_hotel(offer: str) -> Booking:
    """Books one room in a hotel, by the code of an offer that search_hotels has listed."""
    return _book("hotel", offer)


@trip.tool(compensate="cancel_booking")
def book_car(offer: str) -> Booking:
    """Books one car, by the code of an offer that search_cars has listed."""
    return _book("car", offer)


@trip.tool(compensate="cancel_booking")
def book_train(offer: str) -> Booking:
    """Books a seat on a train, by its code."""
    return _book("train", offer)


@trip.tool(compensate="cancel_booking")
def book_entry(offer: str) -> Booking:
    """Books an entry to a museum, by its code."""
    return _book("entry", offer)


@trip.tool(compensate="cancel_booking")
def book_table(offer: str) -> Booking:
    """Books a table in a restaurant, by its code, once somebody there answers the telephone."""
    silent = os.environ.get(SILENT)
    while silent and Path(silent).exists():
        time.sleep(0.05)
    return _book("table", offer)


@trip.compensation
def cancel_booking(undo: Undo[Booking]) -> None:
    """Cancels a booking; marks its key, so that a call that is late cannot book after all."""
    store().cancel(undo.idempotency_key, undo.task_id)


@trip.tool(effect=Effect.READ_ONLY)
def total_price(booking_ids: list[int]) -> Bill:
    """Adds up the prices of bookings, as the agency has them."""
    booked = {row.booking_id: row for row in store().bookings(current_step().task_id, [BOOKED])}
    missing = [number for number in booking_ids if number not in booked]
    if missing:
        raise NotApplied(f"this trip has no booking {missing[0]}; it has {', '.join(map(str, booked))}")
    rows = [booked[number] for number in dict.fromkeys(booking_ids)]
    total = sum(row.price or 0 for row in rows)
    return Bill(total=total, summary=f"{' + '.join(row.what or '' for row in rows)}: {total} EUR")


@trip.validator
def booked(subject: Subject) -> Verdict:
    """Checks that what an agent says it booked is what the database has, and nothing besides."""
    try:
        claim = Booking.model_validate(subject.output)
    except ValidationError as error:
        return Verdict.reject(f"this is not a booking: {error.error_count()} fields are wrong")
    rows = [row for row in store().bookings(subject.task_id, [BOOKED]) if row.kind == claim.kind]
    if [Booking.model_validate(row.model_dump()) for row in rows] == [claim]:
        return Verdict.accept(f"the database has it: booking {claim.booking_id} for {claim.price} EUR")
    found = "; ".join(f"booking {row.booking_id}, {row.what}, {row.price} EUR" for row in rows)
    return Verdict.reject(f"the database has {found or f'no {claim.kind}'} for this trip")


def _book(kind: str, offer: str) -> Booking:
    step = current_step()
    return store().book(step.idempotency_key, step.task_id, kind, offer)
