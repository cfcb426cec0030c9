"""The team of a tour: who plans it, who checks the plan before anything is booked, and who books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from counterstep import Agent, Effect, Subject, Verdict, current_step

from .agents import Bookings
from .store import BOOKED, Booking, store
from .tools import book_entry, book_flight, book_hotel, book_table, book_train, trip
from .tour import BOOKS, LEGS, Operation, Tour, draft_tour


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Means(_Model):
    """What a tour of a team is planned from; `budget` is in EUR."""

    origin: str
    budget: float


class PartOpinion(_Model):
    """How sure the critic is, from 0 to 1, that a part can be done by its member."""

    id: str
    score: float
    too_large: bool = False


class PlanOpinion(_Model):
    """What the critic says of a plan."""

    parts: tuple[PartOpinion, ...]
    missing: tuple[str, ...] = ()
    redundant: tuple[str, ...] = ()


@trip.tool(effect=Effect.READ_ONLY)
def draft_affordable_tour(origin: str, budget: float) -> Tour:
    """Drafts a plan within a budget: as draft_tour does, without museums as far as they are too expensive."""
    plan = draft_tour(origin, [])
    museums = [operation.id for operation in plan.operations if operation.tool == "trip.book_entry"]
    while museums and _price(plan) > budget:
        plan = _without(plan, museums.pop(0))
    return plan


tour_leader: Agent[Bookings] = trip.add(
    Agent(
        name="tour_leader",
        description="Plans a tour, and has others book it.",
        instructions="You lead a tour of Rome and Florence. Begin a plan with draft_affordable_tour, which "
        "knows what can be booked. Make one part of each operation: its id and `after` as they are, as what "
        "is to be done the words `TOOL OFFER`, such as `book_hotel artemide`, and the member who books such "
        "things. Draft another plan anew. The answer has the number of every booking of the results.",
        tools=[draft_affordable_tour],
        input=Means,
        output=Bookings,
    )
)


def _booker(name: str, what: str, tools: list[Callable[[str], Booking]]) -> Agent[Booking]:
    return trip.add(
        Agent(
            name=name,
            description=f"Books {what}.",
            instructions=f"You book {what}. Your part says a tool and a code: call that tool once with that "
            "code, and answer with the booking as it was returned. If it cannot be booked, give up, and book "
            "nothing else.",
            tools=tools,
            input=Means,
            output=Booking,
        )
    )


carrier = _booker("carrier", "flights and trains", [book_flight, book_train])
host = _booker("host", "rooms in hotels", [book_hotel])
guide = _booker("guide", "entries to museums and tables in restaurants", [book_entry, book_table])

_CAN = {
    "carrier": ("book_flight", "book_train"),
    "host": ("book_hotel",),
    "guide": ("book_entry", "book_table"),
}


@trip.agent(effect=Effect.READ_ONLY)
def tour_critic(origin: str, budget: float, team: dict[str, Any]) -> PlanOpinion:
    """Says what is wrong with the plan of a tour, by what members can do and what is left.

    It is code, and so independent: it reads the offers itself, not what the planner says of them.
    """
    parts = {part["id"]: part for part in team["plan"]["parts"]}
    due = {operation.id for operation in draft_affordable_tour(origin, budget).operations}
    return PlanOpinion(
        parts=tuple(PartOpinion(id=id_, score=_solvable(part, origin)) for id_, part in parts.items()),
        missing=tuple(sorted(due - parts.keys())),
        redundant=tuple(id_ for id_ in parts if id_ not in {leg.id for leg in LEGS}),
    )


@trip.validator
def all_booked(subject: Subject) -> Verdict:
    """Checks that the bookings which a team names are those that the database has for the tour."""
    told = sorted(Bookings.model_validate(subject.output).booking_ids)
    stand = [row.booking_id for row in store().bookings(subject.task_id, [BOOKED])]
    if told == stand:
        return Verdict.accept(f"the database has these {len(stand)} bookings, and no other of this tour")
    return Verdict.reject(f"it names the bookings {told}, and the database has {stand}")


def _solvable(part: dict[str, Any], origin: str) -> float:
    """Returns 0 where a member has not the tool, 0.5 where nothing is left of the offer, and else 1."""
    tool, _, offer = part["do"].partition(" ")
    if tool not in _CAN.get(part["who"], ()):
        return 0
    kind = BOOKS[f"trip.{tool}"]
    is_booked = any(row.offer == offer for row in store().bookings(current_step().task_id, [BOOKED]))
    return 1 if is_booked or store().left().get(f"{kind} {offer}", 0) else 0.5


def _price(plan: Tour) -> int:
    return sum(store().price(BOOKS[operation.tool], operation.offer) for operation in plan.operations)


def _without(plan: Tour, id_: str) -> Tour:
    kept = [operation for operation in plan.operations if operation.id != id_]
    return Tour(
        operations=tuple(
            Operation(id=o.id, tool=o.tool, offer=o.offer, after=tuple(a for a in o.after if a != id_))
            for o in kept
        )
    )
