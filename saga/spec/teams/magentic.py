"""Magentic: a manager plans, asks members one by one, and plans anew where they do not get on."""

from __future__ import annotations

from typing import Annotated, Literal

from .member import AgentName, Members
from .number import Bounds, Number
from .pattern import Cost, Pattern, Seat


class Magentic(Pattern):
    """A manager with a task ledger and a progress ledger (Magentic-One, arXiv 2411.04468, section 4).

    The manager writes down facts and a plan, then says after each turn whether the job is done, whether the
    team goes round in circles, and who does what next. After `max_stalls` turns without progress everything
    since the plan is undone, and it plans anew. The limits are those of AutoGen's MagenticOneGroupChat.

    Attributes:
        manager: Who plans, and makes the team's answer.
        members: Who does the work.
        max_turns: How often a member is asked, at most.
        max_stalls: After how many turns without progress it plans anew; reached, not passed.
        max_resets: How often it plans anew, at most.
        progress_attempts: How often the manager may say who is next in a way that cannot be used.
        on_reset: What becomes of what was done since the plan: it is undone, or kept.
    """

    pattern: Literal["magentic"] = "magentic"
    manager: AgentName
    members: Members
    max_turns: Annotated[Number, Bounds(1, 200)] = 20
    max_stalls: Annotated[Number, Bounds(1, 20)] = 3
    max_resets: Annotated[Number, Bounds(0, 10)] = 2
    progress_attempts: Annotated[Number, Bounds(1, 10)] = 3
    on_reset: Literal["undo", "keep"] = "undo"

    def seats(self) -> tuple[Seat, ...]:
        """Returns everybody who may be asked."""
        found = tuple(Seat(f"members[{at}]", member) for at, member in enumerate(self.members))
        return (Seat("manager", self.manager), *found)

    def cost(self) -> Cost:
        """Returns how many turns it takes."""
        # A reset takes so many turns without progress, and there is none once every turn is taken.
        needed = self.max_stalls - 1
        resets = min(self.max_resets, (self.max_turns - 1) // needed) if needed else self.max_resets
        # Each plan has a turn, and one that ends it; each member's turn one before it; then the answer.
        most = 2 * (1 + resets) + 2 * self.max_turns + 1
        return Cost(3, most, "2 * (1 + resets) + 2 * max_turns + 1")
