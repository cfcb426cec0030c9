"""Durations as people write them: ``500ms``, ``30s``, ``5m``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MICROSECONDS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
"""Of each unit; with floats, a long duration would be read a microsecond too short."""
_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"

LONGEST = timedelta(days=36_500)
"""The longest duration: the server counts in 64 bits and refuses what is much longer."""

_TOO_LONG = Decimal(2 * LONGEST.days * _MICROSECONDS["d"])


def parse_duration(value: Any) -> timedelta:
    """Reads one duration.

    Args:
        value: Text such as ``"30s"``, or a `timedelta`, which is returned as it is.

    Returns:
        The duration, at least a microsecond and at most `LONGEST`.

    Raises:
        ValueError: `value` has another shape, or is too short or too long.
    """
    if isinstance(value, str):
        return _read(value)  # the header of each call has some, and they are always the same
    if not isinstance(value, timedelta):
        raise _unlike_a_duration(value)
    return _checked(value)


@lru_cache(maxsize=1024)
def _read(text: str) -> timedelta:
    match = re.fullmatch(_PATTERN, text.strip())
    if match is None:
        raise _unlike_a_duration(text)
    unit = match.group(2)
    microseconds = Decimal(text.strip().removesuffix(unit)) * _MICROSECONDS[unit]
    return _checked(timedelta(microseconds=int(min(microseconds, _TOO_LONG).to_integral_value())))


def _unlike_a_duration(value: Any) -> ValueError:
    return ValueError(f"a duration looks like 500ms, 30s, 5m, 2h or 1d, not {value!r}")


def _checked(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("a duration must be more than zero")
    if duration > LONGEST:
        raise ValueError(f"a duration is at most {LONGEST.days}d")
    return duration


@lru_cache(maxsize=1024)
def format_duration(value: timedelta) -> str:
    """Writes `value` in the largest unit that keeps it whole, e.g. ``90s``, ``2h`` or ``1.5ms``."""
    microseconds = value // timedelta(microseconds=1)
    for unit in ("d", "h", "m", "s", "ms"):
        size = _MICROSECONDS[unit]
        if microseconds % size == 0 and microseconds:
            return f"{microseconds // size}{unit}"
    return f"{microseconds // 1000}.{microseconds % 1000:03}".rstrip("0").rstrip(".") + "ms"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["30s", "5m"]}),
]
