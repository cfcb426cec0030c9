"""What the history of one run tells about its calls: read from events alone, without the code that ran."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Header, Payload
from temporalio.api.enums.v1 import ContinueAsNewInitiator, EventType
from temporalio.api.history.v1 import HistoryEvent

from ..saga.calls.headers import CallHeader
from ..saga.effect import Effect
from ..saga.history_format import HEADER, RECOVER, RESOLVE
from ..saga.ledger.call_id import CallId
from ..saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from .recorded_call import CarriedOver, ChildEnding, RecordedCall, RecordedChild, Resolution

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class RunHistory:
    """What one run has done.

    Attributes:
        workflow_id: The workflow id.
        run_id: The run.
        superseded: Whether a reset has replaced it.
        task: The task's name, as far as it is known.
        task_queue: The queue on which it ran.
        is_ours: Whether any of it is Counterstep's.
        closed: When it ended; None while it runs.
        ending: How it ended, in one word, and why: where it was forced to, or failed.
        forward: Its calls that have an undo, and its pivots, by activity id.
        by_agent: The model calls of each agent, by the id of the agent's entry.
        before: What was read before a call, by the call's activity id.
        children: The child workflows that its sagas have started, by the id of their entries.
        undos: The undos, in the order in which they were scheduled.
        resolutions: What people have said.
        kept: When a saga ended well: what it did until then stays.
        snapshot: What the task settled first.
        started: When it began.
        parent_key: The key of the saga's call that has started it; None where none has.
        continues: The run that it continues, or empty.
        arguments: Those of a continued run.
        carried: What they say, once somebody has decoded them.
    """

    workflow_id: str
    run_id: str
    superseded: bool = False
    task: str = ""
    task_queue: str = ""
    is_ours: bool = False
    closed: datetime | None = None
    ending: tuple[str, str] = ("Ended", "the run has ended")
    forward: dict[str, RecordedCall] = field(default_factory=dict)
    by_agent: dict[str, list[RecordedCall]] = field(default_factory=dict)
    before: dict[str, RecordedCall] = field(default_factory=dict)
    children: dict[str, RecordedChild] = field(default_factory=dict)
    undos: list[RecordedCall] = field(default_factory=list)
    resolutions: list[Resolution] = field(default_factory=list)
    kept: list[datetime] = field(default_factory=list)
    snapshot: Payload | None = None
    started: datetime = _BEGINNING
    parent_key: str | None = None
    continues: str = ""
    arguments: list[Payload] = field(default_factory=list)
    carried: CarriedOver | None = None
    _now: datetime = _BEGINNING
    _by_event: dict[int, RecordedCall] = field(default_factory=dict)
    _by_start: dict[int, RecordedChild] = field(default_factory=dict)
    _resolving: set[int] = field(default_factory=set)

    def add(self, event: HistoryEvent) -> None:
        """Takes in the next event of the history."""
        # Events are in order even where the clocks of the server's hosts are not.
        self._now = max(self._now, event.event_time.ToDatetime(tzinfo=UTC))
        read = _READERS.get(event.event_type)
        if read is not None:
            read(self, event)

    def failed(self) -> list[RecordedCall]:
        """Returns the calls whose failures decide something."""
        models = [call for calls in self.by_agent.values() for call in calls]
        calls = [*self.forward.values(), *models, *self.undos]
        return [call for call in calls if call.failure is not None]

    # --- events

    def _on_started(self, event: HistoryEvent) -> None:
        started = event.workflow_execution_started_event_attributes
        said = started.search_attributes.indexed_fields
        named = json.loads(said[SAGA_TASK.name].data) if SAGA_TASK.name in said else ""
        self.task = self.task or named or started.workflow_type.name
        self.task_queue = started.task_queue.name
        self.started = self._now
        header = _header(started.header)
        self.parent_key = None if header is None else header.key
        went_on = started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
        if went_on and started.workflow_type.name != RECOVER:
            self.continues = started.continued_execution_run_id
            self.arguments = list(started.input.payloads)

    def _on_closed(self, event: HistoryEvent) -> None:
        self.closed = self._now
        match event.WhichOneof("attributes"):
            case "workflow_execution_terminated_event_attributes":
                terminated = event.workflow_execution_terminated_event_attributes
                self.ending = ("Terminated", terminated.reason or "the run was terminated")
            case "workflow_execution_timed_out_event_attributes":
                self.ending = ("TimedOut", "the run has taken longer than it may")
            case "workflow_execution_failed_event_attributes":
                failed = event.workflow_execution_failed_event_attributes
                type_ = failed.failure.application_failure_info.type or "Failed"
                self.ending = (type_, failed.failure.message)

    def _on_marker(self, event: HistoryEvent) -> None:
        details = event.marker_recorded_event_attributes.details
        if "data" not in details or "result" not in details:
            return
        # The SDK's core writes `data` itself, in the clear.
        about = json.loads(details["data"].payloads[0].data)
        if about.get("activity_type") == RESOLVE and self.snapshot is None:
            self.is_ours = True
            self.snapshot = details["result"].payloads[0]

    def _on_search_attributes(self, event: HistoryEvent) -> None:
        fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        self.is_ours = self.is_ours or SAGA_STATE.name in fields
        if SAGA_TASK.name in fields:
            self.task = json.loads(fields[SAGA_TASK.name].data)
        if SAGA_STATE.name in fields and json.loads(fields[SAGA_STATE.name].data) == "completed":
            self.kept.append(self._now)

    def _on_scheduled(self, event: HistoryEvent) -> None:
        scheduled = event.activity_task_scheduled_event_attributes
        header = _header(scheduled.header)
        if header is None:
            return
        self.is_ours = True
        call = RecordedCall(
            id=scheduled.activity_id,
            activity=scheduled.activity_type.name,
            header=header,
            task_queue=scheduled.task_queue.name,
            input=list(scheduled.input.payloads),
            timeout=_span(scheduled.start_to_close_timeout) or _span(scheduled.schedule_to_close_timeout),
            heartbeat=_span(scheduled.heartbeat_timeout),
            scheduled=self._now,
        )
        self._by_event[event.event_id] = call
        self._file(call)

    def _file(self, call: RecordedCall) -> None:
        """Puts a call where it belongs; of all others only the end is of no interest either."""
        header, id_ = call.header, CallId.parse(call.id)
        if header.owner is not None:
            calls = self.by_agent.setdefault(header.owner.id, [])
            if calls:
                call.input = []  # only the first request says what the agent was asked
            calls.append(call)
        elif header.effect is None and id_.is_undo:
            self.undos.append(call)
        elif header.compensation is not None or header.effect is Effect.PIVOT:
            self.forward[call.id] = call
        elif id_.is_before:
            call.input = []
            self.before[str(id_.forward)] = call

    def _on_activity_started(self, event: HistoryEvent) -> None:
        started = event.activity_task_started_event_attributes
        if started.scheduled_event_id in self._by_event:
            self._by_event[started.scheduled_event_id].started_event = event.event_id

    def _on_completed(self, event: HistoryEvent) -> None:
        completed = event.activity_task_completed_event_attributes
        call = self._end(completed.scheduled_event_id)
        if call is not None:
            call.succeeded = True
            call.result = completed.result.payloads[0] if completed.result.payloads else None

    def _on_failed(self, event: HistoryEvent) -> None:
        failed = event.activity_task_failed_event_attributes
        call = self._end(failed.scheduled_event_id)
        if call is not None:
            call.failure = failed.failure

    def _on_timed_out(self, event: HistoryEvent) -> None:
        timed_out = event.activity_task_timed_out_event_attributes
        call = self._end(timed_out.scheduled_event_id)
        if call is not None:
            call.failure = timed_out.failure

    def _on_canceled(self, event: HistoryEvent) -> None:
        self._end(event.activity_task_canceled_event_attributes.scheduled_event_id)

    def _end(self, scheduled_event: int) -> RecordedCall | None:
        call = self._by_event.pop(scheduled_event, None)
        if call is not None:
            call.ended = self._now
        return call

    def _on_child_initiated(self, event: HistoryEvent) -> None:
        initiated = event.start_child_workflow_execution_initiated_event_attributes
        header = _header(initiated.header)
        if header is None:
            return
        self.is_ours = True
        child = RecordedChild(
            id=initiated.workflow_id.removeprefix(f"{self.workflow_id}/"),
            workflow_id=initiated.workflow_id,
            workflow=initiated.workflow_type.name,
            header=header,
            task_queue=initiated.task_queue.name,
            initiated=self._now,
        )
        self._by_start[event.event_id] = child
        self.children[child.id] = child

    def _on_child_not_started(self, event: HistoryEvent) -> None:
        failed = event.start_child_workflow_execution_failed_event_attributes
        self._end_child(failed.initiated_event_id, "not_started")

    def _on_child_started(self, event: HistoryEvent) -> None:
        started = event.child_workflow_execution_started_event_attributes
        if started.initiated_event_id in self._by_start:
            self._by_start[started.initiated_event_id].is_started = True

    def _on_child_completed(self, event: HistoryEvent) -> None:
        completed = event.child_workflow_execution_completed_event_attributes
        child = self._end_child(completed.initiated_event_id, "completed")
        if child is not None and completed.result.payloads:
            child.result = completed.result.payloads[0]

    def _on_child_failed(self, event: HistoryEvent) -> None:
        failed = event.child_workflow_execution_failed_event_attributes
        child = self._end_child(failed.initiated_event_id, "failed")
        if child is not None:
            child.failure_type = failed.failure.application_failure_info.type

    def _on_child_canceled(self, event: HistoryEvent) -> None:
        canceled = event.child_workflow_execution_canceled_event_attributes
        self._end_child(canceled.initiated_event_id, "canceled")

    def _on_child_timed_out(self, event: HistoryEvent) -> None:
        timed_out = event.child_workflow_execution_timed_out_event_attributes
        self._end_child(timed_out.initiated_event_id, "timed_out")

    def _on_child_terminated(self, event: HistoryEvent) -> None:
        terminated = event.child_workflow_execution_terminated_event_attributes
        self._end_child(terminated.initiated_event_id, "terminated")

    def _end_child(self, initiated_event: int, ending: ChildEnding) -> RecordedChild | None:
        child = self._by_start.pop(initiated_event, None)
        if child is not None:
            child.ending, child.ended = ending, self._now
        return child

    def _on_update_accepted(self, event: HistoryEvent) -> None:
        accepted = event.workflow_execution_update_accepted_event_attributes
        if accepted.accepted_request.input.name == "resolve":
            self._resolving.add(event.event_id)

    def _on_update_completed(self, event: HistoryEvent) -> None:
        completed = event.workflow_execution_update_completed_event_attributes
        if completed.accepted_event_id in self._resolving and completed.outcome.success.payloads:
            answer = completed.outcome.success.payloads[0]
            self.resolutions.append(Resolution(self._now, answer))


_READERS: Mapping[int, Callable[[RunHistory, HistoryEvent], None]] = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: RunHistory._on_started,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: RunHistory._on_closed,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: RunHistory._on_closed,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: RunHistory._on_closed,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: RunHistory._on_closed,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: RunHistory._on_closed,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: RunHistory._on_closed,
    EventType.EVENT_TYPE_MARKER_RECORDED: RunHistory._on_marker,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: RunHistory._on_search_attributes,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: RunHistory._on_scheduled,
    EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED: RunHistory._on_activity_started,
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: RunHistory._on_completed,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: RunHistory._on_failed,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: RunHistory._on_timed_out,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: RunHistory._on_canceled,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: RunHistory._on_child_initiated,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: RunHistory._on_child_not_started,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: RunHistory._on_child_started,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: RunHistory._on_child_completed,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: RunHistory._on_child_failed,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: RunHistory._on_child_canceled,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: RunHistory._on_child_timed_out,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: RunHistory._on_child_terminated,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: RunHistory._on_update_accepted,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: RunHistory._on_update_completed,
}


def _span(value: Duration) -> timedelta:
    return value.ToTimedelta()


def _header(header: Header) -> CallHeader | None:
    if HEADER not in header.fields:
        return None
    return CallHeader.model_validate_json(header.fields[HEADER].data)
