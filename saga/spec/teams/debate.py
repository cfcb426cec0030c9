"""Debate: everybody answers, sees what the others say, and answers again."""

from __future__ import annotations

from typing import Annotated, Literal

from ..fields import BareExpression
from .member import AgentName, Members
from .number import Bounds, Number
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
        ranker: Who chooses, before a round, which members go on: it sees all answers of the round before, and
            not whose they are.
        keep: How many go on then (DyLAN has two).
        rank_from: Before which round that is done for the first time (DyLAN: the third).
        importance: Whether members rate, with their own answers, those that they are shown. How much each has
            added to the answer (DyLAN's Agent Importance Score) is recorded, and told to the pool.
    """

    pattern: Literal["debate"] = "debate"
    members: Members
    rounds: Annotated[Number, Bounds(1, 10)] = 2
    share: Literal["others", "all"] = "others"
    stop: Annotated[Number, Bounds(0, 1, whole=False, above=True)] | None = 2 / 3
    by: BareExpression | None = None
    judge: AgentName | None = None
    ranker: AgentName | None = None
    keep: Annotated[Number, Bounds(2, 20)] = 2
    rank_from: Annotated[Number, Bounds(2, 10)] = 3
    importance: bool = False

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = tuple(Seat(f"members[{at}]", member) for at, member in enumerate(self.members))
        if self.judge is not None:
            found = (*found, Seat("judge", self.judge, independent=True))
        if self.ranker is not None and self.ranker != self.judge:
            found = (*found, Seat("ranker", self.ranker, independent=True))
        return found

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        members, judge = len(self.members), int(self.judge is not None)
        answers, formula = members * self.rounds, "members * rounds"
        if self.ranker is not None and members > self.keep and self.rounds >= self.rank_from:
            before = self.rank_from - 1
            answers = members * before + 1 + self.keep * (self.rounds - before)
            formula = "members * (rank_from - 1) + 1 + keep * (rounds - rank_from + 1)"
        return Cost(
            members if self.stop is not None else answers,
            answers + judge,
            formula + (" (+ 1 for the judge)" * judge),
        )

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        found = [("members", "a debate has two members or more")] if len(self.members) < 2 else []
        for key in ("keep", "rank_from"):
            if self.ranker is None and key in self.model_fields_set:
                found.append((key, "it is for a ranker"))
        return found

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over answers, by where they are written."""
        return {"by": self.by}
