"""An effect that stands, as the histories of a task tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from .call_id import CallId
from .entry import Entry


class EffectToUndo(BaseModel):
    """One effect that has to be undone.

    Attributes:
        id: See `Entry`, as for all that is not explained here.
        action: The agent, tool or workflow that was called, as far as it is known.
        kind: See `Progress`.
        is_known: Whether the call is known to have happened.
        started: When it was scheduled first.
        started_last: When it was scheduled last, where a reset has repeated it.
        ended: When it has ended; None where nobody knows.
        may_land_until: Until when it may still change something; None where it cannot.
        origin: Of what a child or an earlier run has handed on: who. Empty for all others.
        depends_on: What it has built on among those of the same origin.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    step: str
    compensation: str
    key: str
    input: Any
    before: Any = None
    output: Any = None
    task_queue: str | None = None
    action: str = ""
    kind: str = "tool"
    is_known: bool = False
    started: datetime
    started_last: datetime
    ended: datetime | None = None
    may_land_until: datetime | None = None
    origin: str = ""
    depends_on: tuple[str, ...] = ()

    def entry(self, older: Sequence[EffectToUndo]) -> Entry:
        """Returns the entry of the ledger, which depends on whatever of `older` it may have built on."""
        return Entry(
            id=self.id,
            step=self.step,
            compensation=self.compensation,
            key=self.key,
            depends_on=frozenset(other.id for other in older if self._may_build_on(other)),
            input=self.input,
            before=self.before,
            task_queue=self.task_queue,
        )

    def _may_build_on(self, other: EffectToUndo) -> bool:
        """What had not ended when this began cannot have fed it, unless it was the agent that called it."""
        if self.origin and self.origin == other.origin:
            return other.id in self.depends_on
        if other.ended is not None and other.ended <= self.started_last:
            return True
        return CallId.parse(self.id).is_inside(CallId.parse(other.id))
