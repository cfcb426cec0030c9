"""Lets a task begin as soon as the limits of the pool allow it."""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from ..calls.limit_waits import LIMIT_ANSWERS, least_wait
from ..duration import format_duration
from ..errors import FailureType
from ..people.notices import Notices
from ..people.questions import Questions
from ..people.terms import ANYBODY, Terms
from ..people.updates import NobodyAnswered
from ..record.status import Status
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..spec.snapshot import Snapshot, SnapshotRequest
from ..temporal.stop_scope import StopScope
from .opening import take_snapshot


async def admit(record: TaskRecord, question: SnapshotRequest) -> tuple[Snapshot, datetime | None]:
    """Takes the snapshot, as soon as the limits of the pool let the task begin.

    Returns:
        The snapshot, and when the task is to be rolled back; None where it was not held up, or has no
        deadline.

    Raises:
        ApplicationError: They do not, and the task is not to wait for so long, or a person has ended it, or
            as `take_snapshot`; nothing has run.
        asyncio.CancelledError: It was cancelled meanwhile.
    """
    snapshot = await take_snapshot(question)
    if snapshot.limited is None or snapshot.spec is None:
        return snapshot, None
    _expect_wait(snapshot)
    if snapshot.engine < 6:
        return await _as_before(record, question, snapshot), None
    status = Status(record, search_attributes=snapshot.search_attributes, engine=snapshot.engine)
    status.begin()
    status.hold(TaskState.WAITING, "")
    lasts = snapshot.spec.deadline
    deadline = None if lasts is None else workflow.now() + lasts
    record.log.decide("refusal", "waits to begin", "", _why(snapshot))
    notices = Notices(record, enabled=snapshot.notify)
    questions = Questions(record, status, notices) if _asks(snapshot) else None
    try:
        times = 1
        while snapshot.limited is not None:
            _expect_wait(snapshot)
            if questions is None or await _ask(questions, snapshot, deadline) == "wait":
                await _sleep(snapshot, times, deadline)
            times += 1
            snapshot = await take_snapshot(question, activity_id=f"resolve.{times}")
    except ApplicationError:
        status.enter(TaskState.ROLLED_BACK)
        await notices.linger()
        raise
    except asyncio.CancelledError:
        # Not when the run is only evicted.
        if workflow.in_workflow() and workflow.cancellation_reason() is not None:
            status.enter(TaskState.CANCELLED)
        raise
    status.release(TaskState.WAITING, "")
    return snapshot, deadline


def _expect_wait(snapshot: Snapshot) -> None:
    assert snapshot.limited is not None and snapshot.spec is not None
    waits = snapshot.spec.on_limit == "wait" or _asks(snapshot)
    if snapshot.limited["until"] is None or not waits:
        raise _refused(snapshot)


def _asks(snapshot: Snapshot) -> bool:
    assert snapshot.spec is not None
    return snapshot.spec.on_limit == "escalate" and snapshot.engine >= 8


async def _ask(questions: Questions, snapshot: Snapshot, deadline: datetime | None) -> str:
    """Returns what a person says to the limit that holds the task up.

    Raises:
        ApplicationError: It is to hold it up for good, or the deadline of the task has passed.
    """
    assert snapshot.limited is not None
    until = snapshot.limited["until"]
    terms = ANYBODY if deadline is None else Terms(deadline=deadline - workflow.now(), default="end")
    answer = await questions.ask(
        "limit",
        "limit",
        f"{_why(snapshot)}; there may be room at {until}; what now?",
        dict.fromkeys(LIMIT_ANSWERS),
        StopScope(),
        show={"until": until},
        terms=terms,
    )
    if isinstance(answer, NobodyAnswered):
        raise _too_late(snapshot)
    if answer.action == "end":
        raise _refused(snapshot)
    return answer.action


async def _sleep(snapshot: Snapshot, times: int, deadline: datetime | None) -> None:
    """Waits until it is worth asking again.

    Raises:
        ApplicationError: The deadline of the task has passed.
    """
    assert snapshot.limited is not None and snapshot.spec is not None
    until = max(datetime.fromisoformat(snapshot.limited["until"]), workflow.now() + least_wait(times))
    ends = until if deadline is None else min(until, deadline)
    await workflow.sleep(max(ends - workflow.now(), least_wait(1)), summary=_why(snapshot)[:200])
    if deadline is not None and workflow.now() >= deadline:
        raise _too_late(snapshot)


async def _as_before(record: TaskRecord, question: SnapshotRequest, snapshot: Snapshot) -> Snapshot:
    """Waits as tasks did that began with an earlier engine."""
    times = 1
    while snapshot.limited is not None:
        _expect_wait(snapshot)
        status = Status(record, search_attributes=snapshot.search_attributes, engine=snapshot.engine)
        status.hold(TaskState.WAITING, "")
        await _sleep(snapshot, 1, None)
        status.release(TaskState.WAITING, "")
        times += 1
        snapshot = await take_snapshot(question, activity_id=f"resolve.{times}")
    return snapshot


def _refused(snapshot: Snapshot) -> ApplicationError:
    kind = FailureType.LIMIT_REACHED
    return ApplicationError(_why(snapshot), snapshot.limited, type=kind, non_retryable=True)


def _too_late(snapshot: Snapshot) -> ApplicationError:
    assert snapshot.spec is not None and snapshot.spec.deadline is not None
    lasted = format_duration(snapshot.spec.deadline)
    message = f"the deadline of {lasted} has passed, and nothing has begun: {_why(snapshot)}"
    return ApplicationError(message, snapshot.limited, type=FailureType.DEADLINE, non_retryable=True)


def _why(snapshot: Snapshot) -> str:
    assert snapshot.limited is not None
    return f"the limit {snapshot.limited['limit']} lets no more tasks begin for now"
