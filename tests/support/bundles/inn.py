"""A bundle whose agent is played by a small model: what that once answered is kept in `support/models`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from counterstep import Agent, Bundle, Effect, Undo
from counterstep.tests.support.bundles.desk import put, take_back

inn = Bundle("inn")

PRICES = {"Harbour": 80, "Castle": 120}


class Stay(BaseModel):
    """What is wanted."""

    city: str
    nights: int


class Booking(BaseModel):
    """What was booked."""

    hotel: str
    total: int


@inn.tool(effect=Effect.READ_ONLY)
def find_hotels(city: str) -> list[dict[str, Any]]:
    """Lists the hotels of a city with their prices for a night."""
    return [{"hotel": hotel, "price": price} for hotel, price in PRICES.items()]


@inn.tool(compensate="cancel_room")
def book_room(hotel: str, nights: int) -> Booking:
    """Books a room in a hotel."""
    put(hotel)
    return Booking(hotel=hotel, total=PRICES[hotel] * nights)


@inn.compensation
def cancel_room(undo: Undo[Booking]) -> None:
    """Cancels a room."""
    key, hotel = undo.idempotency_key, undo.input["hotel"]
    take_back(Undo(input={"what": hotel}, idempotency_key=key, reason=undo.reason, step="", task_id=""))


inn.add(
    Agent(
        name="porter",
        description="Books the cheapest room.",
        instructions="Find the hotels of the city, then book the cheapest one.",
        model="openai/qwen2.5-coder-1.5b-instruct",
        tools=[find_hotels, book_room],
        input=Stay,
        output=Booking,
        temperature=0,
        max_tokens=200,
        timeout="5m",
    )
)
