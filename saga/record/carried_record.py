"""The record of a task on its way into a continued run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..ledger.carry_over import CarriedEntry
from ..limits.account import CarriedAccount
from ..limits.budget import Budget
from ..limits.usage import Usage
from ..spec.catalog import CompensationEntry
from .consent import Consent
from .fork import Lineage
from .plan_book import CarriedPlans
from .step_record import StepRecord
from .undo_progress import UndoTime


class CarriedRecord(BaseModel):
    """What a `TaskRecord` remembers, as JSON; the attributes are those of the record.

    Attributes:
        accounts: By name, what parts of the task may spend, and have spent.
        budget: What the task may spend, where a person has raised that; None where nobody has.
        moves: What teams have decided.
        decided: What else was decided.
        plans: What was begun of plans.
        lines: How many lines the log has had.
        entries: The ledger; empty where it travels by itself.
        forked: Where the task was forked from; None for one that was not.
    """

    model_config = ConfigDict(frozen=True)

    steps: dict[str, StepRecord]
    usage: Usage
    accounts: dict[str, CarriedAccount] = Field(default_factory=dict)
    budget: Budget | None = None
    log: list[dict[str, Any]]
    lines: int
    decisions: list[dict[str, Any]] = Field(default_factory=list)
    moves: list[dict[str, Any]] = Field(default_factory=list)
    decided: list[dict[str, Any]] = Field(default_factory=list)
    plans: CarriedPlans = CarriedPlans()
    facts: dict[str, Any] = Field(default_factory=dict)
    events: list[dict[str, Any]] = Field(default_factory=list)
    feedback: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    reruns: dict[str, int] = Field(default_factory=dict)
    rounds: dict[str, int] = Field(default_factory=dict)
    committed: bool = False
    protected: tuple[str, ...] = ()
    consent: Consent = Consent()
    undo_order: tuple[str, ...] = ()
    undo_times: dict[str, UndoTime] = Field(default_factory=dict)
    compensations: dict[str, CompensationEntry] = Field(default_factory=dict)
    entries: tuple[CarriedEntry, ...] = ()
    forked: Lineage | None = None
