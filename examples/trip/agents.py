"""The agents of a trip: language models with tools."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from counterstep import Agent

from .store import Booking
from .tools import (
    book_car,
    book_flight,
    book_hotel,
    search_cars,
    search_flights,
    search_hotels,
    total_price,
    trip,
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Route(_Model):
    """Where a flight goes."""

    origin: str
    destination: str


class Stay(_Model):
    """Where somebody stays."""

    city: str


class Bookings(_Model):
    """What belongs to a trip."""

    booking_ids: list[int]


class Plan(_Model):
    """A whole trip; the total is in EUR."""

    total: int
    summary: str


_BOOK_ONE = (
    "Search first, then book exactly one offer, the cheapest. If booking it fails, try the next; if none is "
    "left, give up. Answer with the booking as the tool returned it."
)

flight_agent: Agent[Booking] = trip.add(
    Agent(
        name="flight_agent",
        description="Books one flight.",
        instructions=f"You book flights. {_BOOK_ONE}",
        tools=[search_flights, book_flight],
        input=Route,
        output=Booking,
    )
)

hotel_agent: Agent[Booking] = trip.add(
    Agent(
        name="hotel_agent",
        description="Books one hotel room.",
        instructions=f"You book hotel rooms. {_BOOK_ONE}",
        tools=[search_hotels, book_hotel],
        input=Stay,
        output=Booking,
    )
)

car_agent: Agent[Booking] = trip.add(
    Agent(
        name="car_agent",
        description="Books one car.",
        instructions=f"You book hire cars. {_BOOK_ONE}",
        tools=[search_cars, book_car],
        input=Stay,
        output=Booking,
    )
)

planner: Agent[Plan] = trip.add(
    Agent(
        name="planner",
        description="Adds up what was booked and describes the trip.",
        instructions="You describe a trip that is booked. Take the total from total_price, do not add up. "
        "The summary is one sentence for the traveller.",
        tools=[total_price],
        input=Bookings,
        output=Plan,
    )
)
