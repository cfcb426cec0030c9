"""Whoever changes a plan, or undoes what it may build on, does so alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager


class PlanTurns:
    """The turns of those who change the plans of one saga; whoever came first goes first."""

    def __init__(self, engine: int) -> None:
        """Begins with plans that nobody changes.

        Args:
            engine: By which rules the task is run, see `ENGINE`.
        """
        self._takes_turns = engine >= 6
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def of(self, plans: Iterable[str]) -> AsyncIterator[None]:
        """Waits until nobody else changes any of these plans; while it lasts, nobody else does.

        Args:
            plans: Their names, those first that were made first: two who wait for several never wait for each
                other then.
        """
        async with AsyncExitStack() as held:
            for name in plans if self._takes_turns else ():
                await held.enter_async_context(self._locks.setdefault(name, asyncio.Lock()))
            yield
