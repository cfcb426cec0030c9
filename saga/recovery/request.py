"""What a recovery asks for and is told: the effects that a task has left behind, as data."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from ..errors import CounterstepError
from ..ledger.effect_to_undo import EffectToUndo


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
