"""What the desk computes: duplicate charges and prorated prices. No database, no model, integer cents."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from pydantic import BaseModel, ConfigDict

WINDOW = timedelta(minutes=1)
"""The same charge twice within this time was meant once."""


class Charge(BaseModel):
    """Money that was taken from a customer."""

    model_config = ConfigDict(frozen=True)

    charge_id: int
    charged_at: datetime
    what: str
    cents: int


class Duplicate(BaseModel):
    """A charge that repeats an earlier one."""

    model_config = ConfigDict(frozen=True)

    charge_id: int
    repeats: int
    what: str
    cents: int
    seconds_apart: int


def dollars(cents: int) -> str:
    """Writes cents as people do: ``$1,234.50``."""
    return f"${Decimal(cents) / 100:,.2f}"


def duplicates(charges: Iterable[Charge]) -> list[Duplicate]:
    """Finds charges that repeat another: the same thing, the same amount, within `WINDOW` of the first.

    Args:
        charges: The charges of one customer that stand, in any order.

    Returns:
        The repetitions, oldest first, without the first charge of each kind.
    """
    found = []
    firsts: dict[tuple[str, int], Charge] = {}
    for charge in sorted(charges, key=lambda charge: (charge.charged_at, charge.charge_id)):
        first = firsts.get((charge.what, charge.cents))
        if first is None or charge.charged_at - first.charged_at > WINDOW:
            firsts[charge.what, charge.cents] = charge
            continue
        found.append(
            Duplicate(
                charge_id=charge.charge_id,
                repeats=first.charge_id,
                what=charge.what,
                cents=charge.cents,
                seconds_apart=int((charge.charged_at - first.charged_at).total_seconds()),
            )
        )
    return found


def prorated(old_cents: int, new_cents: int, start: date, end: date, day: date) -> int:
    """Prices a change of plan in the middle of a period that is paid for.

    Args:
        old_cents: What the old plan costs a period, in cents.
        new_cents: What the new plan costs a period, in cents.
        start: The first day of the period.
        end: The first day of the next one.
        day: The first day on the new plan, inside of the period.

    Returns:
        The difference for the days that are left, in cents, half a cent rounded up.

    Raises:
        ValueError: The day is not in the period.
    """
    if not start <= day < end:
        raise ValueError(f"{day} is not in the period from {start} to {end}")
    share = Decimal((new_cents - old_cents) * (end - day).days) / (end - start).days
    return int(share.quantize(Decimal(1), ROUND_HALF_UP))
