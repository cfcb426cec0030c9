"""What one workflow has under way, and does at a time: never more than the server and the SDK take."""

from __future__ import annotations

import sys

from .current_history import current_history_size
from .gate import MOST_EVER, SIDE_BY_SIDE, Gate
from .outgoing_message import FRAME, OutgoingMessage
from .pace import Pace
from .rest import Rest
from .steady_time import steady_time

CALL_EFFORT = 1_000
"""Microseconds that the workflow's side of one call takes, without its arguments."""

BYTES_A_MICROSECOND = 100
"""How fast arguments are written."""

MAX_ITEMS = 10_000
"""Items of one `for_each`: each has two events of a history at least, which the server ends at 51,200."""

_ANSWER = 2_000
"""Bytes that the answer of a local activity takes in the message that ends a workflow task."""


class Load:
    """The bounds of one workflow, shared by all that it calls.

    Attributes:
        calls: Lets forward calls through.
        undos: Lets undos through, so that none waits behind forward calls.
        children: Lets child workflows through.
        pace: Has the workflow rest after much work.
        outgoing: Keeps what one workflow task sends under the size of one message.
        most_items: The most items that one step runs for.
    """

    def __init__(self, *, engine: int) -> None:
        """Bounds nothing yet.

        Args:
            engine: By which rules the task is run.
        """
        self._bounded = engine >= 2
        most = SIDE_BY_SIDE if self._bounded else MOST_EVER
        clock = steady_time if engine >= 9 else None
        self.calls, self.undos, self.children = (Gate(most, clock) for _ in range(3))
        self.most_items = MAX_ITEMS if self._bounded else sys.maxsize
        rest = Rest(self._ended if engine >= 9 else None)
        self.pace = Pace(rest if self._bounded else None)
        self.outgoing = OutgoingMessage(rest, frame=FRAME if self._bounded else 0, in_turn=engine >= 9)

    async def make_room_for_answer(self) -> None:
        """Waits where the answers of local activities would make the message too large."""
        if self._bounded:
            await self.outgoing.make_room(_ANSWER)

    def is_history_full(self, undos: int) -> bool:
        """Says whether history has room left for so many undos only."""
        size = current_history_size()
        return size.is_full or (self._bounded and size.is_full_with(undos))

    def _ended(self) -> int:
        return self.calls.left + self.undos.left + self.children.left
