"""How full the limits of the pool are, and how its breakers stand, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from ..saga.duration import format_duration
from .pool import Pool
from .rules import NANO, Limit
from .store import BreakerUse, BucketUse


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class BucketReport(_Frozen):
    """How full one bucket of a limit is.

    Attributes:
        bucket: The value of the limit's key; empty where there is only one.
        used: How much is used, what is only reserved included; dollars where the limit is in dollars.
        reserved: How much of that is reserved by calls under way, which may give some of it back.
        ends: When the window ends, and the bucket is empty again.
    """

    bucket: str
    used: float
    reserved: float
    ends: datetime


class LimitReport(_Frozen):
    """One limit.

    Attributes:
        name: Its name.
        key: What each bucket of it stands for; None for a single one.
        unit: What it bounds.
        most: How much a window allows; None where the file here does not have this limit.
        per: How long a window is; likewise.
        buckets: The buckets of which something is used in the present window.
    """

    name: str
    key: str | None = None
    unit: str
    most: float | None = None
    per: str | None = None
    buckets: tuple[BucketReport, ...] = ()


class BreakerReport(_Frozen):
    """One circuit breaker.

    Attributes:
        name: The model or tool.
        state: ``closed``, ``open`` or ``probing``.
        failures: How many failures count; of an open one, how many have opened it.
        until: When one call may try again; None where it is closed.
        reason: The last failure.
    """

    name: str
    state: str
    failures: int
    until: datetime | None
    reason: str


class LimitsReport(_Frozen):
    """What ``counterstep limits`` shows.

    Attributes:
        shared: Whether the workers share limits and breakers in a Redis; else nobody knows what is used.
        limits: The limits.
        breakers: The breakers that have counted a failure or are open.
    """

    shared: bool
    limits: tuple[LimitReport, ...]
    breakers: tuple[BreakerReport, ...]


async def report_of(pool: Pool) -> LimitsReport:
    """Asks the store of a pool; one that is not shared knows nothing here.

    Args:
        pool: The pool.

    Raises:
        StoreUnreachable: The store does not answer.
    """
    declared = [*pool.limits.of_calls, *pool.limits.of_tasks]
    if not pool.store.is_shared:
        return LimitsReport(shared=False, limits=_limits(declared, ()), breakers=())
    buckets, breakers = await pool.store.buckets(), await pool.store.breakers()
    shown = tuple(_breaker(use) for use in breakers)
    return LimitsReport(shared=True, limits=_limits(declared, buckets), breakers=shown)


def _limits(declared: Sequence[Limit], buckets: Sequence[BucketUse]) -> tuple[LimitReport, ...]:
    reports = [
        LimitReport(
            name=limit.name,
            key=limit.key,
            unit=limit.unit,
            most=_amount(limit.unit, limit.cap),
            per=format_duration(limit.per),
            buckets=_buckets(limit.name, limit.unit, buckets),
        )
        for limit in declared
    ]
    known = {(limit.name, limit.unit) for limit in declared}
    others = dict.fromkeys((use.limit, use.unit) for use in buckets if (use.limit, use.unit) not in known)
    reports += [
        LimitReport(name=name, unit=unit, buckets=_buckets(name, unit, buckets)) for name, unit in others
    ]
    return tuple(reports)


def _buckets(name: str, unit: str, buckets: Sequence[BucketUse]) -> tuple[BucketReport, ...]:
    return tuple(
        BucketReport(
            bucket=use.label,
            used=_amount(unit, use.used),
            reserved=_amount(unit, use.reserved),
            ends=_time(use.ends),
        )
        for use in buckets
        if (use.limit, use.unit) == (name, unit)
    )


def _breaker(use: BreakerUse) -> BreakerReport:
    return BreakerReport(
        name=use.name,
        state=use.state.value,
        failures=use.failures,
        until=None if use.until is None else _time(use.until),
        reason=use.reason,
    )


def _amount(unit: str, amount: int) -> float:
    return amount / NANO if unit == "usd" else amount


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
