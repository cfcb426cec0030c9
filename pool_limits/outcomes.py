"""What the pool knows of agents: how well they have done, and how many calls of theirs are under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from ..saga.routing.outcomes import JobOutcome

THOUSANDTHS: Final = 1000
"""Scores are kept in whole thousandths: sums of whole numbers are exact in every store."""

MOST_OUTCOMES: Final = 500
"""So many outcomes of an agent count in full; then all are halved, so that what is long ago weighs less."""

OUTCOMES_KEPT_FOR: Final = 30 * 24 * 3_600_000
"""Milliseconds for which an agent's outcomes are kept when there are no newer ones."""

REPORTS_KEPT_FOR: Final = 24 * 3_600_000
"""Milliseconds for which it is known that an outcome was reported; an activity is not repeated later."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one agent.

    Attributes:
        good: The sum of its scores.
        bad: The sum of what they lack of 1.
        load: How many model calls of the agent are under way in the pool.
    """

    good: float = 0.0
    bad: float = 0.0
    load: int = 0


class OutcomeStore(Protocol):
    """Keeps outcomes and loads; every method raises `StoreUnreachable` where the store is away."""

    async def note(self, outcome: JobOutcome) -> bool:
        """Counts an outcome; returns whether it is new: the same kind and key counts once."""

    async def begin(self, agent: str, call: str, lease: int) -> None:
        """Counts a call as under way.

        Args:
            agent: Whose call it is.
            call: The name of the call.
            lease: Milliseconds after which a call that has not ended is taken for lost.
        """

    async def end(self, agent: str, call: str) -> None:
        """Ends what `begin` has counted; a call that is not known is left alone."""

    async def standings(self, agents: Sequence[str]) -> dict[str, Standing]:
        """Returns what is known of each of these agents."""


class MemoryOutcomes:
    """See `OutcomeStore`; for one process."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Makes an empty store.

        Args:
            clock: Returns milliseconds since the epoch.
        """
        self._clock = clock
        self._sums: dict[str, tuple[int, int, int]] = {}
        self._reported: dict[tuple[str, str], int] = {}
        self._calls: dict[str, dict[str, int]] = {}

    async def note(self, outcome: JobOutcome) -> bool:
        """See `OutcomeStore`."""
        now = self._clock()
        self._forget(now)
        report = outcome.kind, outcome.key
        if report in self._reported:
            return False
        self._reported[report] = now + REPORTS_KEPT_FOR
        good, bad = in_thousandths(outcome.score)
        before = self._sums.get(outcome.agent, (0, 0, 0))
        if before[2] > now:
            good, bad = good + before[0], bad + before[1]
        if good + bad >= MOST_OUTCOMES * THOUSANDTHS:
            good, bad = good // 2, bad // 2
        self._sums[outcome.agent] = good, bad, now + OUTCOMES_KEPT_FOR
        return True

    async def begin(self, agent: str, call: str, lease: int) -> None:
        """See `OutcomeStore`."""
        self._calls.setdefault(agent, {})[call] = self._clock() + lease

    async def end(self, agent: str, call: str) -> None:
        """See `OutcomeStore`."""
        self._calls.get(agent, {}).pop(call, None)

    async def standings(self, agents: Sequence[str]) -> dict[str, Standing]:
        """See `OutcomeStore`."""
        now = self._clock()
        found = {}
        for agent in agents:
            good, bad, until = self._sums.get(agent, (0, 0, 0))
            if until <= now:
                good = bad = 0
            under_way = {call: ends for call, ends in self._calls.get(agent, {}).items() if ends > now}
            self._calls[agent] = under_way
            found[agent] = Standing(good / THOUSANDTHS, bad / THOUSANDTHS, len(under_way))
        return found

    def _forget(self, now: int) -> None:
        """Forgets reports whose time is over; they stand in the order of their times."""
        while self._reported:
            report = next(iter(self._reported))
            if self._reported[report] > now:
                return
            del self._reported[report]


def in_thousandths(score: float) -> tuple[int, int]:
    """Returns a score, and what it lacks of 1, as they are kept."""
    good = round(score * THOUSANDTHS)
    return good, THOUSANDTHS - good


def milliseconds() -> int:
    """Returns the time since the epoch."""
    return time.time_ns() // 1_000_000
