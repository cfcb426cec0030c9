"""What the history of one run tells about single calls and children, and what people have said in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure

from ..saga.calls.activity_failure import NOTHING_RAN
from ..saga.calls.headers import CallHeader
from ..saga.children.handover import HandOver
from ..saga.errors import FailureType
from ..saga.ledger.call_id import CallId
from ..saga.ledger.ledger import Entry

ChildEnding = Literal["not_started", "completed", "failed", "canceled", "terminated", "timed_out"]

_CHANGED_NOTHING = NOTHING_RAN | {FailureType.ROLLED_BACK}


@dataclass(slots=True)
class RecordedCall:
    """One activity that carries our header.

    Attributes:
        id: Its activity id, ``PATH#ROUND``.
        activity: The activity type.
        header: What travelled beside its arguments.
        task_queue: Where it was sent.
        input: Its arguments; empty where nothing needs them.
        timeout: The longest one attempt may take.
        heartbeat: After how long without a heartbeat its worker is taken for dead.
        scheduled: When it was scheduled.
        started_event: The event of its last start; 0 while there is none.
        ended: When it ended; None where the history does not tell.
        result: What it returned; None where it did not.
        failure: Why it failed.
        error: `failure` as the workflow saw it, once somebody has decoded it.
    """

    id: str
    activity: str
    header: CallHeader
    task_queue: str
    input: list[Payload]
    timeout: timedelta
    heartbeat: timedelta
    scheduled: datetime
    started_event: int = 0
    ended: datetime | None = None
    result: Payload | None = None
    succeeded: bool = False
    failure: Failure | None = None
    error: BaseException | None = None

    @property
    def step(self) -> str:
        """The id of the step."""
        return self.header.step

    @property
    def forward_id(self) -> str:
        """The id of the call that this one undoes, or reads for."""
        return str(CallId.parse(self.id).forward)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person has said about stuck undos, or about a pivot.

    Attributes:
        at: When.
        answer: What the update ``resolve`` has answered.
    """

    at: datetime
    answer: Payload


@dataclass(slots=True)
class RecordedChild:
    """One child workflow that a saga has started.

    Attributes:
        id: The id of its entry in the ledger, ``PATH#ROUND``.
        workflow_id: Its workflow id.
        workflow: Its type.
        header: What it was given beside its argument.
        task_queue: Where its workers are.
        initiated: When it was asked for.
        is_started: Whether the history tells that there is such a workflow.
        ended: When it ended; None where the history does not tell.
        ending: How; None where the history does not tell.
        failure_type: The type of its failure, if it is the application's.
        result: What it returned.
        handed: `result`, once somebody has decoded it.
    """

    id: str
    workflow_id: str
    workflow: str
    header: CallHeader
    task_queue: str
    initiated: datetime
    is_started: bool = False
    ended: datetime | None = None
    ending: ChildEnding | None = None
    failure_type: str = ""
    result: Payload | None = None
    handed: HandOver | None = None

    def changed_nothing(self) -> bool:
        """Says whether it is certain that nothing of it stands; of a completed one its result tells."""
        match self.ending:
            case "not_started":
                return True
            case "canceled":
                return self.header.ends_undone
            case "failed":
                return self.failure_type in _CHANGED_NOTHING
            case _:
                return False


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """What a continued run was given by the run before it.

    Attributes:
        entries: The ledger at that time, oldest first.
        committed: Whether the pivot had been passed.
        sequential: Whether undos run strictly one by one.
    """

    entries: Sequence[Entry]
    committed: bool
    sequential: bool
