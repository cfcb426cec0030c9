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
"""Places before it is known how long a call takes, which is also how many one workflow task lets in; and the
places where calls take hardly any time.

While a workflow task is under way the server keeps a hundred events for it
(`history.maximumBufferedEventsBatch`), two for each call that ends; with one more it fails the task, and the
workflow is replayed, which takes longer still. 50 calls under way never bring more.
"""

_A_SECOND = 100
"""Calls that are to end in a second, at most."""

_AFTER_ONE = 2
"""Those let in after one that leaves: there may be room for more by then, but it is not filled in one go."""

_SLOWER, _FASTER = 20, 5
"""Over how many calls the mean of how long one takes is moved, up and down."""

TICK = 1.0
"""Seconds after which it is seen whether those inside take long, while others wait."""


class Gate:
    """Lets a number through; the others wait in the order in which they came.

    How many calls end in a second is how many are under way, divided by how long one takes (Little's law). So
    of calls that take long all go through, and of those that take milliseconds fewer.

    Not an `asyncio.Semaphore`: a stop of the scope has to reach those who wait.

    Attributes:
        most: How many it ever lets through.
        left: How many have given their place back.
    """

    def __init__(self, most: int, clock: Callable[[], float] | None = None) -> None:
        """Opens a gate.

        Args:
            most: How many it lets through.
            clock: The time in seconds, the same in a workflow task and in each replay; None for tasks that
                were begun when it did not count how long calls take.
        """
        self.most = most
        self.left = 0
        self._clock = clock
        self._room = most if clock is None else min(most, _FIRST)
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._waiters = 0
        self._entered: deque[float] = deque()
        self._now, self._new = 0.0, 0
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
        if self._is_open():
            self._admit()
            return False
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        self._waiters += 1
        self._keep_watch()
        try:
            await (place if scope is None else scope.interruptible(step, place))
        except BaseException:
            if place.done() and not place.cancelled():
                self._give_back()
            else:
                self._waiters -= 1
                self._keep_watch()
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
            before = took if self._takes is None else self._takes
            self._takes = before + (took - before) / (_SLOWER if took > before else _FASTER)
            self._make_room(self._takes)
        self._give_back()

    def _make_room(self, takes: float) -> None:
        self._room = min(self.most, max(_LEAST, int(_A_SECOND * takes)))

    def _is_open(self) -> bool:
        if self._clock is not None and self._now != (now := self._clock()):
            self._now, self._new = now, 0
        return self._inside < self._room and (self._clock is None or self._new < _FIRST)

    def _admit(self) -> None:
        self._inside += 1
        if self._clock is not None:
            self._new += 1
            self._entered.append(self._now)

    def _give_back(self) -> None:
        self._inside -= 1
        if self._clock is not None:
            self._entered.popleft()
        self._let_in(self.most if self._clock is None else _AFTER_ONE)

    def _let_in(self, number: int) -> None:
        while number and self._waiting and self._is_open():
            place = self._waiting.popleft()
            if not place.done():
                self._waiters -= 1
                self._admit()
                place.set_result(None)
                number -= 1
        self._keep_watch()

    def _keep_watch(self) -> None:
        """Watches for slow calls as long as somebody waits who could be let in."""
        if self._clock is None:
            return
        if self._waiters and self._inside < self.most:
            if self._watch is None:
                self._watch = asyncio.create_task(self._watch_for_slow_calls(self._clock))
        elif self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def _watch_for_slow_calls(self, clock: Callable[[], float]) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self._entered:
                self._make_room(max(clock() - self._entered[0], self._takes or 0.0))
            self._let_in(_FIRST)
