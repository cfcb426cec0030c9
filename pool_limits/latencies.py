"""How long the calls of a pool have taken, by tool and by model."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from ..saga.spec.timeout import Calibrated
from .store import DURATIONS_KEPT, PoolStore, StoreUnreachable

logger = logging.getLogger("counterstep.pool")

MARGIN: Final = 1.5
"""A measured timeout is so many times as long as the percentile: a call may be slower than all before it."""

LEAST: Final = 20
"""With fewer measurements than that a percentile says nothing, and the default timeout counts."""

_TOLD_EVERY = 1.0
_MOST_NAMES = 1000


class Latencies:
    """Measures calls, and tells how long they have taken.

    What is measured is told to the store about once a second, beside the calls, so that none of them waits
    for it. What the store does not take is lost: a later call is measured again.
    """

    def __init__(self, store: PoolStore) -> None:
        """Measures for a store.

        Args:
            store: Where the newest durations of each name are kept.
        """
        self._store = store
        self._untold: dict[str, deque[int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None

    def note(self, name: str, seconds: float) -> None:
        """Keeps how long a call has taken; to be called in the event loop of the worker.

        Args:
            name: The tool, or the model.
            seconds: How long it has taken; for a call that was given up, for how long it was waited.
        """
        if name not in self._untold and len(self._untold) >= _MOST_NAMES:
            return
        self._untold.setdefault(name, deque(maxlen=DURATIONS_KEPT)).append(max(1, round(seconds * 1000)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TOLD_EVERY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        untold, self._untold = self._untold, {}
        try:
            for name, durations in untold.items():
                await self._store.keep_durations(name, list(durations))
        except StoreUnreachable as error:
            logger.info("measured durations are lost: %s", error)

    async def read(self, names: Collection[str]) -> dict[str, list[int]]:
        """Returns the newest durations of each name in milliseconds; nothing where the store is away."""
        await self._tell()
        try:
            return await self._store.durations(sorted(names))
        except StoreUnreachable as error:
            logger.warning("timeouts are not calibrated, and the default ones count: %s", error)
            return {}

    async def close(self) -> None:
        """Tells the store what is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._telling is not None:
            await self._telling
        await self._tell()


def settle(limit: Calibrated, measured: dict[str, list[int]], names: Collection[str]) -> Calibrated:
    """Settles what a measured timeout is for some tools or models.

    Args:
        limit: What was declared.
        measured: What `Latencies.read` has returned.
        names: For which ones.
    """
    found = {
        name: limit.within(MARGIN * percentile(measured[name], limit.percentile) / 1000)
        for name in sorted(names)
        if len(measured.get(name, ())) >= LEAST
    }
    return limit.model_copy(update={"settled": found})


def percentile(durations: Sequence[int], percent: int) -> int:
    """Returns the least of some durations that so many percent of them do not pass (nearest rank)."""
    return sorted(durations)[math.ceil(percent / 100 * len(durations)) - 1]
