"""How long a history may become before a task continues as new, or calls nothing new."""

from __future__ import annotations

from dataclasses import dataclass

LONG_EVENTS = 20_000
LONG_BYTES = 20_000_000
"""From here on a task continues as new even if that means to wait for people first."""

FULL_EVENTS = 40_000
FULL_BYTES = 40_000_000
"""From here on nothing new is called: the server ends a workflow by force at 51,200 events or 50 MB, and the
undos of what was called have to fit in before that."""

EVENTS_OF_AN_UNDO = 6
"""Three of the undo, and three of the workflow task that hears of its end."""

MOST_EVENTS = 48_000
"""What history may come to with all undos that are outstanding."""


@dataclass(frozen=True, slots=True)
class HistorySize:
    """The size of a history.

    Attributes:
        events: How many events it has.
        bytes: How large it is.
        server_suggests_new: Whether the server suggests to continue as new.
    """

    events: int
    bytes: int
    server_suggests_new: bool = False

    def is_long(self, *, waiting: bool) -> bool:
        """Says whether the workflow should continue as new at its next opportunity.

        Args:
            waiting: Whether it waits for a person. It cannot continue as new before the answer has come, so
                the server's suggestion alone does not hold up what goes on beside the question.
        """
        if self.events > LONG_EVENTS or self.bytes > LONG_BYTES:
            return True
        return self.server_suggests_new and not waiting

    def is_full_with(self, undos: int) -> bool:
        """Says whether so many undos need all the room that is left."""
        return self.events + undos * EVENTS_OF_AN_UNDO > MOST_EVENTS

    @property
    def is_full(self) -> bool:
        """Whether there is room left for undos only."""
        return self.events > FULL_EVENTS or self.bytes > FULL_BYTES
