"""What the desk's database is asked, and what it answers."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Quote(_Model):
    """What a change of plan costs for the rest of the period."""

    plan: str
    title: str
    cents: int
    price: str
    until: date


class Refund(_Model):
    """A charge that was given back."""

    charge_id: int
    refunded_cents: int
    seconds_apart: int


class Account(_Model):
    """What a customer has."""

    customer: str
    plan: str
    title: str
    features: list[str]
    period_start: date
    period_end: date


class Operation(_Model):
    """What a task did, or tried to: a row of its calls; ``result`` is None where it never happened."""

    key: str
    step: str
    what: str
    customer: str | None
    result: dict[str, Any] | None
    state: str


class Call(NamedTuple):
    """A call of a tool: its key, its task and step, and what it does."""

    key: str
    task: str
    step: str
    what: str
