"""Debate: everybody answers, sees what the others say, and answers again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..fields import BareExpression
from .member import AgentName, Members
from .pattern import Cost, Pattern, Seat


class Debate(Pattern):
    """Members answer in rounds, and see the answers of the round before (Du et al. 2023, arXiv 2305.14325).

    Attributes:
        members: Who debates; at least two. The paper has three.
        rounds: How often everybody answers, at most; the paper has two.
        share: Which answers of the round before a member sees: those of the ``others``, or ``all`` of them.
        stop: The part of the members that has to agree for the debate to end early (DyLAN, arXiv 2310.02170,
            has two thirds); None to debate all rounds.
        by: What they agree on: an expression over ``output``; the whole answer where not given.
        judge: Who decides where no answer of the last round has more votes than each other.
    """

    pattern: Literal["debate"] = "debate"
    members: Members
    rounds: int = Field(default=2, ge=1, le=10)
    share: Literal["others", "all"] = "others"
    stop: float | None = Field(default=2 / 3, gt=0, le=1)
    by: BareExpression | None = None
    judge: AgentName | None = None

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = tuple(Seat(f"members[{at}]", member) for at, member in enumerate(self.members))
        return found if self.judge is None else (*found, Seat("judge", self.judge, independent=True))

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        members, judge = len(self.members), int(self.judge is not None)
        least = members if self.stop is not None else members * self.rounds
        return Cost(
            least, members * self.rounds + judge, "members * rounds" + (" (+ 1 for the judge)" * judge)
        )

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        return [("members", "a debate has two members or more")] if len(self.members) < 2 else []

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over answers, by where they are written."""
        return {"by": self.by}
