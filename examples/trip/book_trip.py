"""The task of ``trip.yaml`` once more, in Python."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel, ConfigDict

    from counterstep import Budget, Saga

    from .agents import Bookings, Plan, Route, Stay, car_agent, flight_agent, hotel_agent, planner
    from .store import Booking
    from .tools import booked


class Trip(BaseModel):
    """What a traveller wants; the budget is in EUR."""

    model_config = ConfigDict(frozen=True)

    origin: str
    destination: str
    budget: int


class Itinerary(BaseModel):
    """What the traveller gets; the total is in EUR."""

    model_config = ConfigDict(frozen=True)

    flight: Booking
    hotel: Booking
    car: Booking
    total: int
    summary: str


@workflow.defn
class BookTrip:
    """Books flight, hotel and car side by side; all of it or nothing."""

    @workflow.run
    async def run(self, trip: Trip) -> Itinerary:
        goal = f"Book a weekend in {trip.destination} for at most {trip.budget} EUR."
        async with Saga(goal=goal, budget=Budget(model_calls=40, tokens=200_000, usd=1)) as saga:
            route = Route(origin=trip.origin, destination=trip.destination)
            stay = Stay(city=trip.destination)
            flight, hotel, car = await saga.gather(
                saga.call(flight_agent, route, step="flight", validate=[booked]),
                saga.call(hotel_agent, stay, step="hotel", validate=[booked]),
                saga.call(car_agent, stay, step="car", validate=[booked]),
            )
            affordable = {
                "rule": f"output.total <= {trip.budget}",
                "message": f"the trip is over the budget of {trip.budget} EUR",
            }
            bookings = Bookings(booking_ids=[flight.booking_id, hotel.booking_id, car.booking_id])
            plan: Plan = await saga.call(planner, bookings, step="plan", validate=[affordable])
            if plan.total != flight.price + hotel.price + car.price:
                raise ValueError(f"{plan.total} EUR is not the sum of the three prices")
            return Itinerary(flight=flight, hotel=hotel, car=car, total=plan.total, summary=plan.summary)
