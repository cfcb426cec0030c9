"""So much at once, and no more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from .stop_scope import StopScope

SIDE_BY_SIDE = 500
"""Calls of one workflow that are under way at a time, and as many undos, and as many children.

The server takes 2000 of each, and then fails workflow tasks for ever (`PendingActivitiesLimitExceeded`).
"""

MOST_EVER = 2000
"""The same for tasks that were begun when there was no gate: what had worked goes on as it was."""

_FIRST, _LEAST = 100, 50
_A_SECOND = 100
"""Calls that may end in a second. While a workflow task is under way the server keeps a hundred events for it
(`history.maximumBufferedEventsBatch`), two for each call that ends; with one more it fails the task, and the
workflow is replayed, which takes longer still. 50 calls under way never bring more."""

_REMEMBERED = 20
"""Calls over which the mean of how long one takes is moved."""

PATIENCE = 5.0
"""Seconds in which a call has to end for others to wait: with this and `_A_SECOND` all places are open."""


class Gate:
    """Lets a number through; the others wait in the order in which they came.

    How many calls end in a second is how many are under way, divided by how long one takes (Little's law). So
    of calls that take long all go through, and of those that take milliseconds fewer.

    Not an `asyncio.Semaphore`: a stop of the scope has to reach those who wait.

    Attributes:
        room: How many it lets through at present.
        left: How many have given their place back.
    """

    def __init__(self, most: int, clock: Callable[[], float] | None = None) -> None:
        """Opens a gate.

        Args:
            most: How many it lets through.
            clock: The time in seconds, the same in each replay; None to let so many through however fast they
                are.
        """
        self._most = most
        self._clock = clock
        self.room = most if clock is None else min(most, _FIRST)
        self.left = 0
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._entered: deque[float] = deque()
        self._takes: float | None = None
        self._watch: asyncio.Task[None] | None = None

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
        if self._inside < self.room:
            self._admit()
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        if self._clock is not None and self._watch is None:
            self._watch = asyncio.create_task(self._watch_for_slow_calls(self._clock))
        try:
            await (place if scope is None else scope.interruptible(step, place))
        except BaseException:
            if place.done() and not place.cancelled():
                self._give_back()
            raise
        return True

    @property
    def inside(self) -> int:
        """How many are inside."""
        return self._inside

    def leave(self) -> None:
        """Gives a place back, to those that wait."""
        self.left += 1
        if self._clock is not None:
            # Who has come first is taken for who leaves first, which is the same in the mean.
            took = self._clock() - self._entered[0]
            self._takes = took if self._takes is None else self._takes + (took - self._takes) / _REMEMBERED
            self.room = min(self._most, max(_LEAST, int(_A_SECOND * self._takes)))
        self._give_back()

    async def _watch_for_slow_calls(self, clock: Callable[[], float]) -> None:
        """Lets all go through where those inside take so long that none of them may have ended yet."""
        while True:
            await asyncio.sleep(PATIENCE)
            if self._entered and clock() - self._entered[0] >= PATIENCE:
                self.room = self._most
                self._let_in()

    def _admit(self) -> None:
        self._inside += 1
        if self._clock is not None:
            self._entered.append(self._clock())

    def _give_back(self) -> None:
        self._inside -= 1
        if self._clock is not None:
            self._entered.popleft()
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._inside < self.room:
            place = self._waiting.popleft()
            if not place.done():
                self._admit()
                place.set_result(None)
        if self._watch is not None and not self._waiting:
            self._watch.cancel()
            self._watch = None
