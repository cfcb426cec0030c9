"""Limits and breakers of one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .outcomes import MemoryOutcomes, OutcomeStore, milliseconds
from .store import (
    BACK_SOON,
    DURATIONS_KEPT,
    FORGOTTEN_AFTER,
    SETTLED_FOR,
    BreakerState,
    BreakerTerms,
    BreakerUse,
    BucketUse,
    Charge,
    End,
    Full,
    Passage,
)

_TIDIED_EVERY = 60_000

_Bucket = tuple[str, str, str, int, int]
"""Limit, label, unit, window length, and which window it is since the epoch."""


@dataclass(slots=True)
class _Booking:
    taken: dict[str, tuple[_Bucket, int]]
    lease_ends: int
    forgotten: int
    settled: bool = False


@dataclass(slots=True)
class _Breaker:
    failed: deque[int] = field(default_factory=deque)
    opened_by: int = 0
    until: int = 0
    probe: str | None = None
    probe_ends: int = 0
    reason: str = ""
    forgotten: int = 0


class MemoryStore:
    """See `PoolStore`. Nothing is awaited inside of a method, so that each is atomic in its event loop."""

    is_shared = False

    def __init__(self, clock: Callable[[], int] = milliseconds) -> None:
        """Makes an empty store.

        Args:
            clock: Returns milliseconds since the epoch.
        """
        self._clock = clock
        self.outcomes: OutcomeStore = MemoryOutcomes(clock)
        self._used: dict[_Bucket, int] = {}
        self._open: dict[_Bucket, set[str]] = {}
        self._bookings: dict[str, _Booking] = {}
        self._breakers: dict[str, _Breaker] = {}
        self._tidied = 0
        self._durations: dict[str, deque[int]] = {}

    async def open(self) -> None:
        """See `PoolStore`."""

    async def close(self) -> None:
        """See `PoolStore`."""

    async def reserve(self, call: str, charges: Sequence[Charge], lease: int) -> Full | None:
        """See `PoolStore`."""
        now = self._clock()
        self._tidy(now)
        known = self._bookings.get(call)
        mine = known.taken if known is not None and not known.settled else {}
        wanted = {charge.limit: (_bucket(charge, now), charge.amount) for charge in charges}
        full = [found for charge in charges if (found := self._full(charge, call, mine, now)) is not None]
        if full:
            return max(full, key=lambda found: (found.until is None, found.until or 0))
        for bucket, amount in mine.values():
            self._add(bucket, -amount)
            self._open.get(bucket, set()).discard(call)
        for bucket, amount in wanted.values():
            self._used.setdefault(bucket, 0)
            self._add(bucket, amount)
            self._open.setdefault(bucket, set()).add(call)
        ends = max((_end(bucket) for bucket, _ in wanted.values()), default=now)
        self._bookings[call] = _Booking(wanted, now + lease, ends)
        return None

    async def settle(self, call: str, spent: Mapping[str, int]) -> None:
        """See `PoolStore`."""
        booking = self._bookings.get(call)
        if booking is None or booking.settled:
            return
        for limit, (bucket, amount) in booking.taken.items():
            self._add(bucket, spent.get(limit, 0) - amount)
            self._open.get(bucket, set()).discard(call)
        booking.settled = True
        booking.forgotten = min(booking.forgotten, self._clock() + SETTLED_FOR)

    async def ask(self, breaker: str, token: str, lease: int) -> Passage:
        """See `PoolStore`."""
        now = self._clock()
        known = self._breaker(breaker, now)
        if known is None or not known.until:
            return Passage(True)
        known.forgotten = max(known.forgotten, now + FORGOTTEN_AFTER)
        if now < known.until:
            return Passage(False, until=known.until, reason=known.reason)
        if known.probe is not None and now < known.probe_ends:
            return Passage(False, until=min(known.probe_ends, now + BACK_SOON), reason=known.reason)
        known.probe, known.probe_ends = token, now + lease
        return Passage(True, probe=token)

    async def report(
        self, breaker: str, end: End, terms: BreakerTerms, probe: str | None = None, reason: str = ""
    ) -> BreakerState | None:
        """See `PoolStore`."""
        now = self._clock()
        known = self._breaker(breaker, now)
        if known is not None and known.until:
            if probe is None or known.probe != probe:
                return None
            if end is End.GOOD:
                del self._breakers[breaker]
                return BreakerState.CLOSED
            known.until, known.probe = now + terms.cool_down, None
            known.forgotten = known.until + FORGOTTEN_AFTER
            known.reason = reason or known.reason
            return BreakerState.OPEN if end is End.BAD else None
        if end is not End.BAD:
            return None
        known = self._breakers.setdefault(breaker, _Breaker())
        known.failed.append(now)
        while len(known.failed) > terms.failures or known.failed[0] <= now - terms.within:
            known.failed.popleft()
        known.reason, known.forgotten = reason, now + terms.within
        if len(known.failed) < terms.failures:
            return None
        known.opened_by, known.until = terms.failures, now + terms.cool_down
        known.forgotten = known.until + FORGOTTEN_AFTER
        known.failed.clear()
        return BreakerState.OPEN

    async def keep_durations(self, name: str, milliseconds: Sequence[int]) -> None:
        """See `PoolStore`."""
        self._durations.setdefault(name, deque(maxlen=DURATIONS_KEPT)).extend(milliseconds)

    async def durations(self, names: Sequence[str]) -> dict[str, list[int]]:
        """See `PoolStore`."""
        return {name: list(self._durations[name]) for name in names if name in self._durations}

    async def buckets(self) -> list[BucketUse]:
        """See `PoolStore`."""
        now = self._clock()
        self._tidy(now, whole=True)
        return [
            BucketUse(bucket[0], bucket[1], bucket[2], used, self._reserved(bucket, "", now), _end(bucket))
            for bucket, used in sorted(self._used.items())
        ]

    async def breakers(self) -> list[BreakerUse]:
        """See `PoolStore`."""
        now = self._clock()
        found = []
        for name in sorted(self._breakers):
            known = self._breaker(name, now)
            if known is None:
                continue
            probing = known.probe is not None and now < known.probe_ends
            state = BreakerState.PROBING if probing else BreakerState.OPEN
            found.append(
                BreakerUse(name, state, known.opened_by, known.until, known.reason)
                if known.until
                else BreakerUse(name, BreakerState.CLOSED, len(known.failed), None, known.reason)
            )
        return found

    def _full(
        self, charge: Charge, call: str, mine: Mapping[str, tuple[_Bucket, int]], now: int
    ) -> Full | None:
        bucket = _bucket(charge, now)
        own, held = mine.get(charge.limit, (None, 0))
        used = self._used.get(bucket, 0) - (held if own == bucket else 0)
        if used + charge.amount <= charge.cap:
            return None
        if charge.amount > charge.cap:
            return Full(charge, used, None, held=False)
        if used - self._reserved(bucket, call, now) + charge.amount > charge.cap:
            return Full(charge, used, _end(bucket), held=False)
        return Full(charge, used, min(_end(bucket), now + BACK_SOON), held=True)

    def _reserved(self, bucket: _Bucket, but: str, now: int) -> int:
        """Returns how much calls have reserved that may still give it back."""
        others = [self._bookings[call] for call in self._open.get(bucket, ()) if call != but]
        return sum(
            amount
            for booking in others
            if booking.lease_ends > now
            for taken, amount in booking.taken.values()
            if taken == bucket
        )

    def _add(self, bucket: _Bucket, amount: int) -> None:
        if bucket in self._used:  # its window may have ended
            self._used[bucket] += amount

    def _breaker(self, name: str, now: int) -> _Breaker | None:
        known = self._breakers.get(name)
        if known is None or known.forgotten > now:
            return known
        del self._breakers[name]
        return None

    def _tidy(self, now: int, *, whole: bool = False) -> None:
        if not whole and now - self._tidied < _TIDIED_EVERY:
            return
        self._tidied = now
        self._used = {bucket: used for bucket, used in self._used.items() if _end(bucket) > now}
        self._open = {bucket: calls for bucket, calls in self._open.items() if bucket in self._used}
        self._bookings = {call: known for call, known in self._bookings.items() if known.forgotten > now}
        for name in list(self._breakers):
            self._breaker(name, now)


def _bucket(charge: Charge, now: int) -> _Bucket:
    return charge.limit, charge.label, charge.unit, charge.per, now // charge.per


def _end(bucket: _Bucket) -> int:
    return (bucket[4] + 1) * bucket[3]
