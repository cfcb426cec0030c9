"""What a recovery asks for and is told: the effects that a task has left behind, as data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..errors import CounterstepError
from ..ledger.call_id import CallId
from ..ledger.ledger import Entry

MAX_ENTRIES = 200
"""Entries of one page: the order among them is worked out in the workflow, pair by pair."""


class Refusal(StrEnum):
    """Why a task cannot be recovered; the ``type`` of the failure."""

    UNKNOWN_TASK = "UnknownTask"
    TASK_ALIVE = "TaskAlive"
    RUN_SUPERSEDED = "RunSuperseded"
    TASK_COMPLETED = "TaskCompleted"
    NOT_A_TASK = "NotATask"
    NOTHING_TO_UNDO = "NothingToUndo"
    ALREADY_RECOVERED = "AlreadyRecovered"
    PIVOT_PASSED = "PivotPassed"
    PIVOT_UNKNOWN = "PivotUnknown"


class NotRecoverable(CounterstepError):
    """Raised when nothing may be undone from history: the task lives, has completed, or is undone already.

    Attributes:
        type: Which of these it is.
    """

    def __init__(self, type: Refusal, message: str) -> None:
        """Refuses a recovery.

        Args:
            type: Why.
            message: One sentence, and what to do next.
        """
        super().__init__(message)
        self.type = type


class RecoveryRequest(BaseModel):
    """The argument of a recovery.

    Attributes:
        workflow_id: The task.
        run_id: The newest run of its chain.
        not_applied: Somebody knows that a pivot whose outcome is unknown was not applied.
        as_child: The task is a step of another one that is undone: its good end counts for nothing.
        undone: Steps that earlier runs of this recovery have undone.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    run_id: str
    not_applied: bool = False
    as_child: bool = False
    undone: tuple[str, ...] = ()


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


class RecoveryPage(BaseModel):
    """A part of what a task has left behind, the newest first of all pages.

    Attributes:
        task: The task's name.
        ending: How its newest run ended, in one word, and why.
        sequential: Whether its undos run strictly one by one.
        entries: In the order in which they came about.
        more: Whether there are older ones, to be asked for when these are undone.
        left_alone: Steps that stay as they are because a person has said so.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    ending: tuple[str, str]
    sequential: bool
    entries: tuple[EffectToUndo, ...]
    more: bool
    left_alone: tuple[str, ...] = ()
