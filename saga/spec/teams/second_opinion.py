"""SecondOpinion: one answers, and another is asked where the first is not sure."""

from __future__ import annotations

from typing import Annotated, Literal

from ..fields import BareExpression
from .member import AgentName, Member
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat


class SecondOpinion(Pattern):
    """A second agent answers where the first is not sure enough; where they differ, a third decides.

    An answer is not sure where its confidence cannot be read. Where one of both fails, the answer of the
    other counts if it is sure, and is a limit of the team (see `on_limit`) if it is not.

    Attributes:
        first: Who is asked at first.
        other: Who is asked where the first is less sure than `below`.
        reconcile: Who decides where both differ; None for the one that is surer.
        below: How sure is sure enough, from 0 to 1 (0.7: published practice of support desks).
        confidence: How sure an answer is: an expression over ``output`` that gives a number from 0 to 1.
        by: What has to be the same: an expression over ``output``; the whole answer but its ``confidence``
            where not given.
    """

    pattern: Literal["second_opinion"] = "second_opinion"
    first: Member
    other: Member
    reconcile: AgentName | None = None
    below: Annotated[Number, Bounds(0, 1, whole=False, above=True)] = 0.7
    confidence: BareExpression = "output.confidence"
    by: BareExpression | None = None

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = (Seat("first", self.first), Seat("other", self.other))
        if self.reconcile is None:
            return found
        return (*found, Seat("reconcile", self.reconcile, independent=True))

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        most = 2 + int(self.reconcile is not None)
        return Cost(
            1, most, "1 (+ 1 where the first is not sure" + (", + 1 where both differ)" if most > 2 else ")")
        )

    def reads(self) -> dict[str, str | None]:
        """Returns its expressions over answers, by where they are written."""
        return {"confidence": self.confidence, "by": self.by}
