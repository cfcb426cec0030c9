"""Durations as people write them: ``500ms``, ``30s``, ``5m``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"


def parse_duration(value: Any) -> timedelta:
    """Reads one duration.

    Args:
        value: Text such as ``"30s"``, or a `timedelta`, which is returned as it is.

    Returns:
        The duration, more than zero.

    Raises:
        ValueError: `value` has another shape or is zero.
    """
    if isinstance(value, timedelta):
        return value
    match = re.match(_PATTERN, value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"a duration looks like 500ms, 30s, 5m, 2h or 1d, not {value!r}")
    unit = match.group(2)
    seconds = float(value.strip().removesuffix(unit)) * _UNIT_SECONDS[unit]
    if seconds <= 0:
        raise ValueError("a duration must be more than zero")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Writes `value` in the largest unit that keeps it whole, e.g. ``90s`` or ``2h``."""
    milliseconds = round(value / timedelta(milliseconds=1))
    for unit in ("d", "h", "m", "s"):
        size = round(_UNIT_SECONDS[unit] * 1000)
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["30s", "5m"]}),
]
