"""What a store of limits and breakers does, whichever it is, and the values that go in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ..saga.errors import CounterstepError
from .outcomes import OutcomeStore

KEPT = 60_000
"""Milliseconds for which a bucket is kept after its window has ended."""

SETTLED_FOR = 3_600_000
"""Milliseconds for which a settled reservation is remembered at most, so that it is not settled twice."""

FORGOTTEN_AFTER = 3_600_000
"""Milliseconds after which a breaker that nobody asks for is closed again."""

BACK_SOON = 5_000
"""Milliseconds until it is worth asking again where others may give something back, or a probe is made."""


class StoreUnreachable(CounterstepError):
    """The store of limits and breakers does not answer."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one call may take from one bucket at most.

    Attributes:
        limit: The limit's name.
        label: The bucket: a value of the limit's key.
        unit: What it counts.
        per: Milliseconds of a window.
        amount: How much, in whole units.
        cap: The most that one window allows.
    """

    limit: str
    label: str
    unit: str
    per: int
    amount: int
    cap: int


@dataclass(frozen=True, slots=True)
class Full:
    """The bucket that has no room for a call.

    Attributes:
        charge: What was to be taken from it.
        used: How much of it is taken, by what was spent and by what is reserved.
        until: When it may have room again, in milliseconds since the epoch; None for never: the call may cost
            more than a whole window allows.
        held: Whether only what others have reserved is in the way, and they may give it back before.
    """

    charge: Charge
    used: int
    until: int | None
    held: bool


class BreakerState(StrEnum):
    """Where a circuit breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class BreakerTerms:
    """When a breaker opens, in milliseconds.

    Attributes:
        failures: So many failures open it,
        within: not further apart than this.
        cool_down: How long it stays open.
    """

    failures: int
    within: int
    cool_down: int


@dataclass(frozen=True, slots=True)
class Passage:
    """What a breaker says to a call.

    Attributes:
        may_pass: Whether the call may be made.
        probe: Where the call decides whether the breaker closes: what it has to report with.
        until: Where it may not: when to ask again, in milliseconds since the epoch.
        reason: The failure that has opened it.
    """

    may_pass: bool
    probe: str | None = None
    until: int = 0
    reason: str = ""


class End(StrEnum):
    """How a call behind a breaker has ended."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class BucketUse:
    """How full a bucket is in its present window.

    Attributes:
        limit: The limit's name.
        label: The bucket.
        unit: What it counts.
        used: How much is taken, what is only reserved included.
        reserved: How much of that is reserved by calls under way.
        ends: When the window ends, in milliseconds since the epoch.
    """

    limit: str
    label: str
    unit: str
    used: int
    reserved: int
    ends: int


@dataclass(frozen=True, slots=True)
class BreakerUse:
    """How a breaker stands.

    Attributes:
        name: What it guards.
        state: Where it stands.
        failures: How many failures count at present; of an open one, how many have opened it.
        until: When it may be tried again, in milliseconds since the epoch; None where it is closed.
        reason: The last failure.
    """

    name: str
    state: BreakerState
    failures: int
    until: int | None
    reason: str


DURATIONS_KEPT = 200
"""Durations of one tool or model that are kept."""

DURATIONS_KEPT_FOR = 7 * 24 * 3_600_000
"""Milliseconds for which they are kept when there are no newer ones."""


class PoolStore(Protocol):
    """Keeps reservations and breakers; every method is atomic, and raises `StoreUnreachable`.

    A reservation that is never settled stays booked until its windows end: the call may have been made.

    Attributes:
        is_shared: Whether other processes see it.
        outcomes: What is known of agents.
    """

    is_shared: bool
    outcomes: OutcomeStore

    async def open(self) -> None:
        """Makes sure that the store answers."""

    async def close(self) -> None:
        """Ends what this event loop holds open."""

    async def reserve(self, call: str, charges: Sequence[Charge], lease: int) -> Full | None:
        """Books a call in all of its buckets, or in none.

        What was reserved under the same name before, and not settled, is taken over and not booked twice.

        Args:
            call: The name of the call.
            charges: The buckets, each limit once.
            lease: Milliseconds within which the call settles if it does not get lost.

        Returns:
            None when it is booked, else a bucket without room, the one that takes longest to have some.
        """

    async def settle(self, call: str, spent: Mapping[str, int]) -> None:
        """Replaces what was reserved by what was spent, once; a call that is not known is left alone.

        Args:
            call: The name of the call.
            spent: How much, by the names of the limits; a limit that is left out has nothing of it.
        """

    async def ask(self, breaker: str, token: str, lease: int) -> Passage:
        """Asks a breaker whether a call may be made; one call in each cool-down is let through as a probe.

        Args:
            breaker: What it guards.
            token: A name for the call, should it be the probe.
            lease: Milliseconds after which a probe that has not reported is taken for lost.
        """

    async def report(
        self, breaker: str, end: End, terms: BreakerTerms, probe: str | None = None, reason: str = ""
    ) -> BreakerState | None:
        """Tells a breaker how a call has ended.

        Args:
            breaker: What it guards.
            end: How it has ended.
            terms: When the breaker opens.
            probe: What the breaker gave to the call if that was the probe.
            reason: Of a bad end: why, in a few words.

        Returns:
            The state that it has changed to; None where nothing has changed.
        """

    async def keep_durations(self, name: str, milliseconds: Sequence[int]) -> None:
        """Adds durations of a tool or a model; the newest `DURATIONS_KEPT` of each are kept.

        Args:
            name: The tool or the model.
            milliseconds: The durations, oldest first.
        """

    async def durations(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Returns the durations that are kept of each name, in milliseconds; names without any left out."""

    async def buckets(self) -> list[BucketUse]:
        """Returns all buckets whose window has not ended."""

    async def breakers(self) -> list[BreakerUse]:
        """Returns all breakers that have anything to tell."""
