"""So much at once, and no more."""

from __future__ import annotations

import asyncio
from collections import deque

from .stop_scope import StopScope

SIDE_BY_SIDE = 500
"""Calls of one workflow that are under way at a time, and as many undos, and as many children.

The server takes 2000 of each, and then fails workflow tasks for ever (`PendingActivitiesLimitExceeded`).
"""

MOST_EVER = 2000
"""The same for tasks that were begun when there was no gate: what had worked goes on as it was."""


class Gate:
    """Lets a number through; the others wait in the order in which they came.

    Not an `asyncio.Semaphore`: a stop of the scope has to reach those who wait.

    Attributes:
        most: How many it lets through.
    """

    def __init__(self, most: int) -> None:
        """Opens a gate."""
        self.most = most
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, step: str = "", scope: StopScope | None = None) -> bool:
        """Waits for a place; `leave` gives it back.

        Args:
            step: The id of the step that waits.
            scope: A stop ends the wait; None where nothing does.

        Returns:
            Whether it has waited.

        Raises:
            Stopped: The scope was stopped; there is no place to be given back.
        """
        if self._inside < self.most:
            self._inside += 1
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await (place if scope is None else scope.interruptible(step, place))
        except BaseException:
            if place.done() and not place.cancelled():
                self.leave()
            raise
        return True

    @property
    def inside(self) -> int:
        """How many are inside."""
        return self._inside

    def leave(self) -> None:
        """Gives a place back: to the next one that waits, if any."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._inside -= 1
