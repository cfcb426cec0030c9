"""What one run has done about one entry of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from temporalio.exceptions import ActivityError

from ..saga.calls.activity_failure import may_land_for, read_failure
from ..saga.calls.timeouts_and_retries import GRACE
from ..saga.children.handover import absorbed
from ..saga.history_format import RECOVER_CHILD
from ..saga.ledger.call_id import CallId
from ..saga.ledger.ledger import Entry, EntryState
from .recorded_call import RecordedCall, RecordedChild
from .run_history import RunHistory

CARRIED = "carried"
"""The origin of what a continued run was given."""


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """A call, the model calls of an agent, a child, or what a child or an earlier run has handed on.

    Attributes:
        id: The entry's id.
        step: The id of the step.
        key: Its idempotency key.
        compensation: What undoes it; None for a pivot.
        history: The run.
        scheduled: When it began; what was handed on counts from when it was.
        ended: When it ended; None where nobody knows.
        succeeded: Whether it is known to have happened.
        calls: In the order in which they were scheduled; none of what was handed on, or of a child.
        before: What was read before it, or None.
        entry: What is known of it where it has no calls.
        position: Its place among those that began at the same moment.
        origin: Who has handed it on: the ids in the entry's `depends_on` are of the same origin.
        child_key: The key of the completed child that has done it; empty for all others.
    """

    id: str
    step: str
    key: str
    compensation: str | None
    history: RunHistory
    scheduled: datetime
    ended: datetime | None
    succeeded: bool
    calls: Sequence[RecordedCall] = ()
    before: RecordedCall | None = None
    entry: Entry | None = None
    position: int = 0
    origin: str = ""
    child_key: str = ""

    @property
    def is_agent(self) -> bool:
        """Whether its calls are those of a model."""
        return bool(self.calls) and self.calls[0].header.owner is not None

    @property
    def is_carried(self) -> bool:
        """Whether an earlier run has done it."""
        return self.origin == CARRIED

    @property
    def is_undone(self) -> bool:
        """Whether an earlier run has undone it."""
        return self.is_carried and self.entry is not None and self.entry.state is EntryState.UNDONE

    @property
    def is_skipped(self) -> bool:
        """Whether somebody has said to an earlier run that it stays as it is."""
        return self.is_carried and self.entry is not None and self.entry.state is EntryState.SKIPPED

    def changed_nothing(self) -> bool:
        """Says whether it is certain that nothing has happened."""
        return len(self.calls) == 1 and _changed_nothing(self.calls[0])

    def may_land_until(self) -> datetime | None:
        """Returns until when it may still change something, or None."""
        if self.is_agent or not self.calls:
            return None  # whoever recovers a child waits for what is under way in it
        return may_land_until(self.calls[0], self.history)


def effects_of(history: RunHistory, *, whole: bool) -> Iterator[RecordedEffect]:
    """Finds what one run has done.

    Args:
        history: The run; what can be decoded is.
        whole: With what a saga has done that ended well.
    """
    # A reset takes back that a run has ended well.
    kept = None if whole or history.superseded else max(history.kept, default=None)
    for effect in _all_effects(history):
        if kept is None or effect.scheduled > kept:
            yield effect


def _all_effects(history: RunHistory) -> Iterator[RecordedEffect]:
    for call in history.forward.values():
        yield _of_calls(call.id, call.header.key, call.header.compensation, [call], history)
    for calls in history.by_agent.values():
        owner = calls[0].header.owner
        assert owner is not None
        yield _of_calls(owner.id, owner.key, owner.compensation, calls, history)
    for child in history.children.values():
        if child.ending == "completed":
            yield from _handed(child, history)
        elif not child.changed_nothing():
            yield _of_child(child, history)
    if history.carried is not None:
        yield from _carried(history.carried.entries, history)


def _of_calls(
    id_: str, key: str, compensation: str | None, calls: Sequence[RecordedCall], history: RunHistory
) -> RecordedEffect:
    last = calls[-1]
    return RecordedEffect(
        id=id_,
        step=last.step,
        key=key,
        compensation=compensation,
        history=history,
        scheduled=calls[0].scheduled,
        ended=last.ended,
        succeeded=last.succeeded,
        calls=calls,
        before=history.before.get(id_),
    )


def _of_child(child: RecordedChild, history: RunHistory) -> RecordedEffect:
    entry = Entry(
        id=child.id,
        step=child.header.step,
        compensation=RECOVER_CHILD,
        key=child.header.key,
        input={"workflow_id": child.workflow_id, "is_started": child.is_started},
        task_queue=child.task_queue,
    )
    return _given(entry, history, child.initiated, child.ended)


def _handed(child: RecordedChild, history: RunHistory) -> Iterator[RecordedEffect]:
    """What a completed child has handed over, as its parent takes it over."""
    if child.handed is None:
        return
    id_, step = CallId.parse(child.id), child.header.step
    entries = absorbed(child.handed, path=id_.path, round_=id_.round, step=step, depends_on=frozenset())
    for position, entry in enumerate(entries):
        effect = _given(entry, history, child.initiated, child.ended, position, child.id)
        yield replace(effect, child_key=child.header.key)


def _carried(entries: Sequence[Entry], history: RunHistory) -> Iterator[RecordedEffect]:
    for position, entry in enumerate(entries):
        yield _given(entry, history, history.started, history.started, position, CARRIED)


def _given(
    entry: Entry,
    history: RunHistory,
    began: datetime,
    ended: datetime | None,
    position: int = 0,
    origin: str = "",
) -> RecordedEffect:
    return RecordedEffect(
        id=entry.id,
        step=entry.step,
        key=entry.key,
        compensation=entry.compensation,
        history=history,
        scheduled=began,
        ended=ended,
        succeeded=entry.compensation != RECOVER_CHILD,
        entry=replace(entry, task_queue=None) if entry.task_queue == history.task_queue else entry,
        position=position,
        origin=origin,
    )


def _changed_nothing(call: RecordedCall) -> bool:
    if call.error is None:
        return False
    return read_failure(call, _as_seen(call, call.error), None).not_applied


def may_land_until(call: RecordedCall, history: RunHistory) -> datetime | None:
    """Returns until when a call, or an undo, may still change something, or None."""
    if call.succeeded:
        return None
    if call.ended is None:
        # Nothing tells whether it had started, or when: only the end of the run bounds it.
        return None if history.closed is None else history.closed + call.timeout + GRACE
    if call.failure is not None and call.failure.HasField("reset_workflow_failure_info"):
        return call.ended + call.timeout + GRACE  # given up by a reset, wherever it was
    wait = None if call.error is None else may_land_for(call, _as_seen(call, call.error))
    return None if wait is None else call.ended + wait


def _as_seen(call: RecordedCall, cause: BaseException) -> ActivityError:
    """Returns the failure of a call as the workflow saw it."""
    error = ActivityError(
        "",
        scheduled_event_id=0,
        started_event_id=call.started_event,
        identity="",
        activity_type=call.activity,
        activity_id=call.id,
        retry_state=None,
    )
    error.__cause__ = cause
    return error
