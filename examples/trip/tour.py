"""A tour of two cities as a plan: what its agent may write down, and what a plan has to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from counterstep import Agent, Effect, Subject, Verdict, current_step

from .store import Store, store
from .tools import trip

BOOKS = {
    "trip.book_flight": "flight",
    "trip.book_hotel": "hotel",
    "trip.book_train": "train",
    "trip.book_entry": "entry",
    "trip.book_table": "table",
}
"""The tools of a plan, and the kind of what each of them books."""

BookingTool = Literal[
    "trip.book_flight", "trip.book_hotel", "trip.book_train", "trip.book_entry", "trip.book_table"
]


class Leg(NamedTuple):
    """What a tour needs: one offer of a kind, in or to a city, when others are booked."""

    id: str
    kind: str
    city: str
    origin: str = ""
    after: tuple[str, ...] = ()


HOME = "home"
"""As an origin: where the traveller lives."""

LEGS = (
    Leg("flight", "flight", "Rome", HOME),
    Leg("hotel_rome", "hotel", "Rome", after=("flight",)),
    Leg("museum_rome", "entry", "Rome", after=("flight",)),
    Leg("dinner_rome", "table", "Rome", after=("hotel_rome",)),
    Leg("train", "train", "Florence", "Rome", after=("flight",)),
    Leg("hotel_florence", "hotel", "Florence", after=("train",)),
    Leg("museum_florence", "entry", "Florence", after=("train",)),
    Leg("dinner_florence", "table", "Florence", after=("hotel_florence",)),
    Leg("train_back", "train", "Rome", "Florence", after=("dinner_florence", "museum_florence")),
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Operation(_Model):
    """One booking of a plan.

    Attributes:
        id: Its name, in this plan and in every later one.
        tool: The tool that makes it.
        offer: The code of what is booked.
        after: The ids of those that have to be booked before.
    """

    id: str
    tool: BookingTool
    offer: str
    after: tuple[str, ...] = ()


class Tour(_Model):
    """A plan."""

    operations: tuple[Operation, ...]


class Wishes(_Model):
    """What a tour is planned from; `closed` are codes of offers that no longer count, `budget` is in EUR."""

    origin: str
    budget: float
    closed: tuple[str, ...] = ()


@trip.tool(effect=Effect.READ_ONLY)
def draft_tour(origin: str, closed: list[str]) -> Tour:
    """Drafts a plan from what can be booked now, the cheapest of each; what is booked already stays."""
    offers = store()
    operations = []
    for leg in LEGS:
        free = _free(offers, current_step().task_id, leg, origin, closed)
        if free:
            tool = next(name for name, kind in BOOKS.items() if kind == leg.kind)
            draft = {"id": leg.id, "tool": tool, "offer": next(iter(free)), "after": leg.after}
            operations.append(Operation.model_validate(draft))
    return Tour(operations=tuple(operations))


tour_planner: Agent[Tour] = trip.add(
    Agent(
        name="tour_planner",
        description="Plans a tour of Rome and Florence.",
        instructions="You plan a tour of Rome and Florence. Begin with draft_tour, which knows what can be "
        "booked, and change its draft only where you are told to. Keep the ids, and keep what is right, word "
        "for word: what is the same in your plan stays booked, all else is cancelled.",
        tools=[draft_tour],
        input=Wishes,
        output=Tour,
    )
)


@trip.validator
def feasible(subject: Subject) -> Verdict:
    """Checks a plan against the offers: it is a whole tour, open, free, and within the budget."""
    plan = Tour.model_validate(subject.output)
    wishes = Wishes.model_validate(subject.input)
    faults = list(_faults(plan.operations, wishes, subject.task_id))
    return Verdict.reject(*faults) if faults else Verdict.accept("everything is open, free and paid for")


def _faults(plan: Sequence[Operation], wishes: Wishes, trip_id: str) -> Iterator[str]:
    offers, planned, total = store(), {operation.id: operation for operation in plan}, 0
    for leg in LEGS:
        operation = planned.pop(leg.id, None)
        free = _free(offers, trip_id, leg, wishes.origin, wishes.closed)
        if operation is None:
            yield f"there is no {leg.id}" + ("" if free else f", and no {leg.kind} is left for it")
        elif BOOKS[operation.tool] != leg.kind or operation.offer not in free:
            can = ", ".join(free) or "nothing"
            yield f"{leg.id} cannot be {operation.offer} by {operation.tool}; what is free for it: {can}"
        elif not set(leg.after) <= set(operation.after):
            yield f"{leg.id} comes after {', '.join(leg.after)}"
        else:
            total += free[operation.offer]
    yield from (f"nobody has asked for {name}" for name in planned)
    if total > wishes.budget:
        yield f"it costs {total} EUR, and the budget is {wishes.budget:g} EUR"


def _free(offers: Store, trip_id: str, leg: Leg, home: str, closed: Sequence[str]) -> dict[str, int]:
    origin = home if leg.origin == HOME else leg.origin
    found = offers.free(trip_id, leg.kind, leg.city, origin)
    return {offer.offer: offer.price for offer in found if offer.offer not in closed}
