"""How often and for how long a call is tried."""

from __future__ import annotations

from datetime import timedelta

from pydantic import (
    Field,
)

from ..duration import Duration
from ..expressions.json_values import Whole
from .fields import SpecModel


class Retry(SpecModel):
    """How often a call is tried, and how long between: ``initial * factor**n``, at most `max`.

    Attributes:
        attempts: How often in all.
        initial: The first pause.
        factor: By how much each pause is longer than the one before.
        max: The longest pause.
    """

    attempts: Whole[int] = Field(default=4, ge=1, le=100, strict=True)
    initial: Duration = Field(default=timedelta(seconds=1), json_schema_extra={"default": "1s"})
    factor: float = Field(default=2.0, ge=1, le=10, strict=True)
    max: Duration = Field(default=timedelta(minutes=1), json_schema_extra={"default": "1m"})
