"""Concurrent: everybody answers at once, and the answers are combined."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

from pydantic import Field

from ..fields import BareExpression
from .member import WORDS, AgentName, Members, key_of
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat


class Concurrent(Pattern):
    """Every member gets the same input, side by side, and knows nothing of the others.

    Attributes:
        members: Who answers.
        combine: What becomes of the answers: ``collect`` gives all of them by member, with their
            contradictions; ``vote`` the one that most have given; ``best`` the one with the highest `score`;
            an agent gets all of them, and its answer is the team's.
        by: What is voted on: an expression over ``output``; the whole answer where not given.
        score: How good an answer is: an expression over ``output`` that gives a number.
        quorum: How many answers are enough (for ``vote``: how much weight has to be for one of them); what is
            still under way then is stopped and undone. All members where not given, and more than half of the
            weight for ``vote``.
        weights: How much the vote of a member counts, 1 where not given.
        judge: Who decides where no answer has the quorum; it sees the answers without their authors.
        max_parallel: How many members work at once, at most.
    """

    pattern: Literal["concurrent"] = "concurrent"
    members: Members
    combine: AgentName = "collect"
    by: BareExpression | None = None
    score: BareExpression | None = None
    quorum: Annotated[Number, Bounds(0, 1000, whole=False, above=True)] | None = None
    weights: dict[str, float] = Field(default_factory=dict)
    judge: AgentName | None = None
    max_parallel: Annotated[Number, Bounds(1, 1_000_000)] | None = None

    @property
    def aggregator(self) -> str | None:
        """The agent that combines the answers; None where it is done by counting."""
        return None if self.combine in WORDS else str(self.combine)

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = [Seat(f"members[{at}]", member) for at, member in enumerate(self.members)]
        if self.aggregator is not None:
            found.append(Seat("combine", self.aggregator))
        if self.judge is not None:
            found.append(Seat("judge", self.judge, independent=True))
        return tuple(found)

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        members, more = len(self.members), int(self.aggregator is not None)
        formula = "members" + (" + 1" if more else "") + (" (+ 1 for the judge)" if self.judge else "")
        least = min(members, max(self.max_parallel or members, self._enough()))  # the rest is not even asked
        return Cost(least + more, members + more + int(self.judge is not None), formula)

    def _enough(self) -> int:
        """Returns how many answers decide, where the first to be asked are the first to answer, and agree."""
        if self.combine != "vote":
            return len(self.members) if self.quorum is None else int(self.quorum)
        weights = [self.weights.get(key_of(member), 1) for member in self.members]
        behind = list(accumulate(weights))
        return 1 + sum(not self.is_enough(weight) for weight in behind[:-1])

    def is_enough(self, weight: float) -> bool:
        """Says whether an answer has the weight it needs in a vote: the quorum, or more than half of all."""
        if self.quorum is not None:
            return weight >= float(self.quorum)
        return weight > sum(self.weights.get(key_of(member), 1) for member in self.members) / 2

    def faults(self) -> list[tuple[str, str]]:
        """Returns which of its parameters do not go together."""
        found = []
        keys = [key_of(member) for member in self.members]
        for name, weight in self.weights.items():
            if name not in keys:
                found.append((f"weights.{name}", f"there is no member {name!r}; there are {', '.join(keys)}"))
            elif weight <= 0:
                found.append((f"weights.{name}", "a weight is larger than 0"))
        for key in ("by", "weights", "judge"):
            if getattr(self, key) and self.combine != "vote":
                found.append((key, "it is for combine: vote"))
        if (self.combine == "best") != (self.score is not None):
            found.append(("score", "combine: best needs it, and nothing else takes it"))
        most = sum(self.weights.get(key, 1) for key in keys) if self.combine == "vote" else len(keys)
        if self.quorum is None or isinstance(self.quorum, str):  # it is known later
            return found
        if self.combine != "vote" and self.quorum != int(self.quorum):
            found.append(("quorum", "it is a number of answers, and so a whole one"))
        if self.quorum > most:
            found.append(("quorum", f"it can never be reached; the most is {most:g}"))
        return found

    def narrowed(self, present: Sequence[bool]) -> dict[str, Any]:
        """Returns which of its parameters change, and to what, where not all members take part."""
        changes = super().narrowed(present)
        keys = {key_of(member) for member in changes["members"]}
        return {**changes, "weights": {name: of for name, of in self.weights.items() if name in keys}}

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over answers, by where they are written."""
        return {"by": self.by, "score": self.score}
