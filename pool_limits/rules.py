"""What a limits file says: limits of the pool, and what opens circuit breakers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from ..saga.duration import Duration
from ..saga.errors import ExpressionError
from ..saga.expressions.expression import compile_expression

Unit = Literal["usd", "tokens", "model_calls", "tasks"]

UNITS: tuple[Unit, ...] = ("usd", "tokens", "model_calls", "tasks")
"""What a limit may bound; each has exactly one of them."""

NANO = 1_000_000_000
"""Dollars are counted in billionths: sums of whole numbers are exact in every store."""

MOST_AT_ONCE = 1_000_000 * NANO
"""The most that one call counts for, so that no store has to add up what is larger than its numbers: it is as
much as the largest limit allows."""

LONGEST_LABEL = 200
"""Characters of a bucket's name."""

_MOST = 1_000_000_000_000

_Whole = Annotated[StrictInt, Field(ge=0, le=_MOST)]
_Usd = Annotated[float, Field(strict=True, ge=0, le=1_000_000, allow_inf_nan=False)]


class Limit(BaseModel):
    """The most that all tasks of the pool may use together in each window of time.

    Windows are fixed: they begin at whole multiples of `per` since 1970-01-01T00:00Z, so that ``1d`` is the
    day in UTC.

    Attributes:
        name: How messages call it.
        key: A CEL expression over ``task`` and ``agent``; each value of it has a bucket of its own. None for
            one bucket.
        usd: US dollars.
        tokens: Input plus output tokens.
        model_calls: Requests to models.
        tasks: Tasks that begin.
        per: The length of a window.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
    key: str | None = None
    usd: _Usd | None = None
    tokens: _Whole | None = None
    model_calls: _Whole | None = None
    tasks: _Whole | None = None
    per: Duration

    @property
    def unit(self) -> Unit:
        """What it bounds."""
        return next(unit for unit in UNITS if getattr(self, unit) is not None)

    @property
    def cap(self) -> int:
        """How much of it one bucket has, dollars in billionths."""
        most: float = getattr(self, self.unit)
        if self.unit != "usd":
            return int(most)
        return int((Decimal(str(most)) * NANO).to_integral_value(ROUND_FLOOR))

    def label(self, scope: Mapping[str, Any]) -> str:
        """Returns the bucket that a call belongs to; empty where there is only one.

        Args:
            scope: ``task``, the part of its input that keys read, and ``agent``.

        Raises:
            ExpressionError: The key cannot be evaluated, or does not give a name.
        """
        if self.key is None:
            return ""
        try:
            value = compile_expression(self.key).evaluate(scope)
        except ExpressionError as error:
            raise ExpressionError(
                f"the key of the limit {self.name!r} cannot be evaluated: {error}"
            ) from None
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, str | int | float):
            raise ExpressionError(f"the key of the limit {self.name!r} is not text, a number or true/false")
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON knows one kind of number: 1 and 1.0 are one bucket
        label = str(value)
        try:
            label.encode()
        except UnicodeEncodeError:
            message = f"the key of the limit {self.name!r} has half of a character in it (a lone surrogate)"
            raise ExpressionError(message) from None
        if len(label) > LONGEST_LABEL:
            raise ExpressionError(
                f"the key of the limit {self.name!r} has {len(label)} characters; the most is {LONGEST_LABEL}"
            )
        return label


class BreakerRules(BaseModel):
    """When a circuit breaker opens, and for how long.

    Attributes:
        failures: So many failures open it,
        within: where they are not further apart than this.
        cool_down: How long it stays open before one call may try again.
        models: Whether each model has one.
        tools: The tools that have one each, by their full names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    failures: Annotated[StrictInt, Field(ge=1, le=1000)] = 5
    within: Duration = timedelta(minutes=2)
    cool_down: Duration = timedelta(seconds=30)
    models: bool = True
    tools: tuple[str, ...] = ()


class PoolRules(BaseModel):
    """A limits file.

    Attributes:
        limits: The limits.
        breakers: What opens circuit breakers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: tuple[Limit, ...] = ()
    breakers: BreakerRules = BreakerRules()


def shown(unit: Unit, amount: int) -> str:
    """Writes an amount for people: ``$1.5``, ``12 tokens``.

    Args:
        unit: What it counts.
        amount: How much, dollars in billionths.
    """
    if unit != "usd":
        return f"{amount} {unit.replace('_', ' ')}"
    return f"${Decimal(amount) / NANO:.9f}".rstrip("0").rstrip(".")
