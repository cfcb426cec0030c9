"""MakerChecker: one makes a draft, another checks it, until there is nothing to object to."""

from __future__ import annotations

from typing import Annotated, Literal

from .member import Member
from .number import Bounds, Number
from .pattern import AtTeamLimit, Cost, Pattern, Seat


class MakerChecker(Pattern):
    """A maker drafts, and a checker with another model finds issues, which are answered one by one.

    A draft with open issues is undone before the next one. An issue that the maker has not answered by its
    id is open still, whatever the checker says of the next draft.

    Attributes:
        maker: Who drafts; its answer is the team's.
        checker: Who checks it: another agent, or a person.
        rounds: How many drafts there are, at most.
        then: What follows when the last draft is not accepted either; counts in place of `on_limit`.
    """

    pattern: Literal["maker_checker"] = "maker_checker"
    maker: Member
    checker: Member
    rounds: Annotated[Number, Bounds(1, 10)] = 3
    then: AtTeamLimit = "escalate"

    @property
    def at_limit(self) -> AtTeamLimit:
        """What follows when it has reached a limit of its own."""
        return self.then

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        return (Seat("maker", self.maker), Seat("checker", self.checker, independent=True))

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        return Cost(2, 2 * self.rounds, "2 * rounds")

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        return [("on_limit", "a maker and a checker say then")] if "on_limit" in self.model_fields_set else []
