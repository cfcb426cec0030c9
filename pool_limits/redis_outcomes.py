"""What all workers of a pool know of agents, in a Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from ..saga.routing.outcomes import JobOutcome
from .outcomes import (
    MOST_OUTCOMES,
    OUTCOMES_KEPT_FOR,
    REPORTS_KEPT_FOR,
    THOUSANDTHS,
    Standing,
    in_thousandths,
)
from .redis_scripts import BEGIN_CALL, END_CALL, NOTE_OUTCOME, STANDINGS

Run = Callable[[str, Sequence[str], Sequence[Any]], Awaitable[Any]]
"""Runs a script with keys and arguments."""

_MOST: Final = MOST_OUTCOMES * THOUSANDTHS


class RedisOutcomes:
    """See `OutcomeStore`. Every method is one script, which Redis runs in one step."""

    def __init__(self, run: Run, prefix: str) -> None:
        """Keeps outcomes in a Redis.

        Args:
            run: Runs scripts there.
            prefix: Begins all keys.
        """
        self._run = run
        self._agent, self._report, self._calls = f"{prefix}agent:", f"{prefix}report:", f"{prefix}busy:"

    async def note(self, outcome: JobOutcome) -> bool:
        """See `OutcomeStore`."""
        keys = [f"{self._report}{outcome.kind}:{outcome.key}", self._agent + outcome.agent]
        terms = [REPORTS_KEPT_FOR, OUTCOMES_KEPT_FOR, _MOST]
        return bool(await self._run(NOTE_OUTCOME, keys, [*in_thousandths(outcome.score), *terms]))

    async def begin(self, agent: str, call: str, lease: int) -> None:
        """See `OutcomeStore`."""
        await self._run(BEGIN_CALL, [self._calls + agent], [call, lease])

    async def end(self, agent: str, call: str) -> None:
        """See `OutcomeStore`."""
        await self._run(END_CALL, [self._calls + agent], [call])

    async def standings(self, agents: Sequence[str]) -> dict[str, Standing]:
        """See `OutcomeStore`."""
        keys = [key for agent in agents for key in (self._agent + agent, self._calls + agent)]
        told = await self._run(STANDINGS, keys, []) if keys else []
        return {
            agent: Standing(int(good) / THOUSANDTHS, int(bad) / THOUSANDTHS, int(load))
            for agent, (good, bad, load) in zip(agents, told, strict=True)
        }
