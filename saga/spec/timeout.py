"""How long a call is waited for: for a fixed time, or for as long as most calls have taken."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator
from pydantic.json_schema import SkipJsonSchema

from ..duration import Duration, format_duration
from ..expressions.json_values import Whole
from .fields import SpecModel

_SHORT: Final = r"^p[0-9]{1,4}$"


class Calibrated(SpecModel):
    """A timeout that the workers of the pool have measured.

    Attributes:
        percentile: How many of a hundred calls have taken no longer; the timeout is one and a half times as
            long.
        floor: The least that it may be.
        ceiling: The most that it may be.
        settled: What it is for the tools and models that were measured often enough, by their names; a task
            gets that when it begins.
    """

    percentile: Whole[int] = Field(ge=50, le=99, strict=True)
    floor: Duration = Field(default=timedelta(seconds=5), json_schema_extra={"default": "5s"})
    ceiling: Duration = Field(default=timedelta(minutes=2), json_schema_extra={"default": "2m"})
    settled: SkipJsonSchema[dict[str, Duration]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _floor_is_below_ceiling(self) -> Calibrated:
        if self.floor > self.ceiling:
            floor, ceiling = format_duration(self.floor), format_duration(self.ceiling)
            raise ValueError(f"the floor {floor} is above the ceiling {ceiling}")
        return self

    def within(self, seconds: float) -> timedelta:
        """Returns a time that is neither below the floor nor above the ceiling."""
        return min(max(timedelta(milliseconds=round(seconds * 1000)), self.floor), self.ceiling)


Limit = timedelta | Calibrated
"""How long a call is waited for, as it was declared."""


def in_full(value: Any) -> Any:
    """Returns the mapping that ``p95`` stands for; anything else as it is."""
    is_short = isinstance(value, str) and re.fullmatch(_SHORT, value.strip())
    return {"percentile": int(value.strip()[1:])} if is_short else value


def _kind(value: Any) -> str:
    if isinstance(value, Mapping | Calibrated):
        return "a measured timeout"
    return "a duration" if in_full(value) is value else "a percentile"


Timeout = Annotated[
    Annotated[Duration, Tag("a duration")]
    | Annotated[
        Calibrated,
        BeforeValidator(in_full),
        WithJsonSchema({"type": "string", "pattern": "^p[5-9][0-9]$", "examples": ["p95"]}),
        Tag("a percentile"),
    ]
    | Annotated[Calibrated, Tag("a measured timeout")],
    Discriminator(_kind),
]
"""A duration, ``p50`` to ``p99``, or a mapping with a percentile, a floor and a ceiling."""


def time_for(limit: Limit | None, names: Collection[str]) -> timedelta | None:
    """Returns how long a call is waited for; None where nothing is said, or not enough was measured.

    Args:
        limit: What was declared.
        names: The tool, or the models that share the time: each gets what the slowest of them takes.
    """
    if not isinstance(limit, Calibrated):
        return limit
    found = [limit.settled.get(name) for name in names]
    known = [time for time in found if time is not None]
    return max(known) * len(known) if known and len(known) == len(found) else None
