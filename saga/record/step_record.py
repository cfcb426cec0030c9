"""How far one step has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from ..failure import trim
from ..verdict import Verdict


class StepState(StrEnum):
    """The state of a step, as expressions and the board show it."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNDONE = "undone"


DONE: Final = frozenset({StepState.COMPLETED, StepState.SKIPPED})
"""The states of a step that others need not wait for any more."""

UNDER_WAY: Final = frozenset({StepState.RUNNING, StepState.WAITING})
"""The states of a step that has begun and not ended."""


@dataclass(slots=True)
class StepRecord:
    """One step's progress; only the `TaskRecord` changes it, and a team that goes on.

    Attributes:
        kind: ``agent``, ``tool``, ``group`` or ``activity``.
        target: The name of the agent or tool.
        needs: The steps that it waits for.
        attempts: How often its call was begun (``for_each`` items and re-runs each count).
        degraded: Why the output is less than what was meant: only what there was at a limit, or made by
            something that stood in after a failure; None where it is whole.
        taken_over: Whether another task has done it, from which this one is forked.
    """

    kind: str
    target: str
    needs: tuple[str, ...] = ()
    state: StepState = StepState.PENDING
    attempts: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    output: Any = None
    error: str | None = None
    verdicts: list[Verdict] = field(default_factory=list)
    model_calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    degraded: str | None = None
    taken_over: bool = False

    @property
    def is_done_elsewhere(self) -> bool:
        """Whether another task has done it, and it was not skipped there."""
        return self.taken_over and self.state is StepState.COMPLETED

    def reset(self) -> None:
        """Makes the step as if it had not started; what it has cost stays."""
        self.state, self.output, self.error = StepState.PENDING, None, None
        self.finished, self.verdicts, self.degraded = None, [], None
        self.taken_over = False

    def end(self, state: StepState, output: Any, error: str | None, now: datetime) -> None:
        """Records how the step ended."""
        self.state, self.output, self.error, self.finished = state, output, error, now

    def degrade(self, why: str) -> None:
        """Records why the output is less than what was meant."""
        self.degraded = trim(f"{self.degraded}; {why}" if self.degraded else why, 1000)

    def withdraw(self) -> None:
        """Takes the output out of the shared context: the undos of the step are done."""
        self.state, self.output, self.degraded = StepState.UNDONE, None, None

    def go_on(self) -> None:
        """Runs on although all that was done so far is undone."""
        if self.state is StepState.UNDONE:
            self.state = StepState.RUNNING

    def spend(self, model_calls: int, tokens: int, usd: float) -> None:
        """Adds what the step has cost."""
        self.model_calls += model_calls
        self.tokens += tokens
        self.usd += usd
