"""An agent that may hand its conversation over, with all to whom it may come, as a team."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ...expressions.json_values import Whole
from .pattern import Cost, Pattern, Seat


class Handoffs(Pattern):
    """One conversation, which agents hand over to each other; it is made of `Agent.handoffs`.

    Attributes:
        members: Who may have the conversation; the first one begins.
        max_handoffs: How often it is handed over, at most.
    """

    pattern: Literal["handoff"] = "handoff"
    members: tuple[str, ...]
    max_handoffs: Whole[int] = Field(default=5, ge=1, strict=True)

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        return tuple(Seat(f"members[{at}]", member) for at, member in enumerate(self.members))

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        return Cost(1, 1 + self.max_handoffs, "1 + max_handoffs")
