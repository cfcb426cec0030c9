"""Planned: a planner splits the job, validators check the plan, and members do its parts."""

from __future__ import annotations

from typing import Annotated, Literal

from .member import AgentName, Members, Person, Validators
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat


class Planned(Pattern):
    """A job in parts (Agent-Oriented Planning, arXiv 2410.02189, section 3, published at ICLR 2025).

    The planner says which member does which part, and what comes after what. Before anything of it is done,
    each validator says of every part how sure it is that its member can do it, and whether it is too large to
    say; and of the plan whether a part is missing, or is there twice. A part is accepted, or the planner is
    to plan it again, or to plan it in detail. The parts then run as soon as what they come after has ended.
    Where one fails, the planner makes another plan: what is the same in it is kept, what has changed or
    vanished is undone, and what is new is done.

    Attributes:
        planner: Who makes the plan, and the team's answer.
        members: Who does the parts.
        validators: Who checks a plan; each is independent of the planner and of the members.
        approve: A person without whose yes no plan of which a part has effects is begun.
        solvable: How sure, from 0 to 1, a validator has to be of a part at least.
        max_steps: The most parts of a plan.
        max_replans: How often there may be another plan, for whatever reason.
    """

    pattern: Literal["planned"] = "planned"
    planner: AgentName
    members: Members
    validators: Validators = ()
    approve: Person | None = None
    solvable: Annotated[Number, Bounds(0, 1, whole=False)] = 0.7
    max_steps: Annotated[Number, Bounds(1, 100)] = 20
    max_replans: Annotated[Number, Bounds(0, 10)] = 2

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat("planner", self.planner)]
        found += [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        found += [
            Seat(f"validators[{at}]", name, independent=True) for at, name in enumerate(self.validators)
        ]
        if self.approve is not None:
            found.append(Seat("approve", self.approve, independent=True))
        return tuple(found)

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        plans = 1 + self.max_replans
        checks = len(self.validators) + (self.approve is not None)
        most = plans * (1 + checks + self.max_steps) + 1
        return Cost(3 + len(self.validators), most, "plans * (1 + checks + max_steps) + 1")
