"""Checks tasks whose workers were killed, by comparing their histories with what really happened."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from benchmarks.shelf import TASKS, Moment, Row

CALL_MODEL = "counterstep.call_model"

RULES = (
    "tasks lost",
    "tasks stuck",
    "tasks with a wrong end",
    "orphaned effects",
    "missing effects",
    "double undos",
    "repeated calls",
    "repeated model calls",
    "nondeterminism",
)
"""Nothing of this may happen, not once.

A call, an undo or a model call is repeated when it was made again although its answer had reached history, or
more often than there were attempts. One that was under way when its worker was killed is made again, with the
same key: history has the attempts, and does not have the answer.
"""


@dataclass(slots=True)
class Called:
    """One activity of a history.

    Attributes:
        id: The activity id.
        type: The activity type.
        key: The idempotency key; an undo has the key of its call.
        is_undo: Whether it undoes a call.
        attempt: The attempt that has ended; 0 where none has.
        answered: When its answer reached history; None where it has none.
    """

    id: str
    type: str
    key: str
    is_undo: bool
    attempt: int = 0
    answered: float | None = None


@dataclass(slots=True)
class Story:
    """One history.

    Attributes:
        calls: Its activities, in the order in which they were scheduled.
        children: The ids of the child workflows that it has started.
        failed: Why workflow tasks failed.
        timed_out: How many workflow tasks timed out: their worker was killed.
    """

    calls: list[Called] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    timed_out: int = 0

    @classmethod
    def read(cls, events: Iterable[HistoryEvent]) -> Story:
        """Reads a history."""
        story = cls()
        by_event: dict[int, Called] = {}
        for event in events:
            if event.HasField("activity_task_scheduled_event_attributes"):
                scheduled = event.activity_task_scheduled_event_attributes
                header = json.loads(scheduled.header.fields["counterstep"].data)
                call = Called(
                    scheduled.activity_id,
                    scheduled.activity_type.name,
                    header["key"],
                    header["effect"] is None,
                )
                by_event[event.event_id] = call
                story.calls.append(call)
            elif event.HasField("activity_task_started_event_attributes"):
                started = event.activity_task_started_event_attributes
                by_event[started.scheduled_event_id].attempt = started.attempt
            elif event.HasField("activity_task_completed_event_attributes"):
                completed = event.activity_task_completed_event_attributes
                by_event[completed.scheduled_event_id].answered = event.event_time.ToNanoseconds() / 1e9
            elif event.HasField("child_workflow_execution_started_event_attributes"):
                child = event.child_workflow_execution_started_event_attributes
                story.children.append(child.workflow_execution.workflow_id)
            elif event.HasField("workflow_task_failed_event_attributes"):
                cause = event.workflow_task_failed_event_attributes.cause
                story.failed.append(
                    WorkflowTaskFailedCause.Name(cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
                )
            elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                story.timed_out += 1
        return story


@dataclass(slots=True)
class Job:
    """One task of the soak.

    Attributes:
        id: Its workflow id.
        type: Its workflow type.
        fate: What is to become of it: ``complete``, ``fail`` or ``cancel``.
        end: What has become of it: ``completed``, ``rolled back``, ``cancelled``, ``running``, ``lost`` or
            how else it ended.
        stories: Its history and those of its children.
    """

    id: str
    type: str
    fate: str
    end: str = "running"
    stories: list[Story] = field(default_factory=list)

    @property
    def calls(self) -> list[Called]:
        """The activities of all histories."""
        return [call for story in self.stories for call in story.calls]


@dataclass(frozen=True, slots=True)
class Request:
    """A request that reached the model server: for which task, which turn of its agent, and when."""

    task: str
    turn: int
    at: float


_GOOD_ENDS = {
    "complete": {"completed"},
    "fail": {"rolled back"},
    # A cancel may come too late.
    "cancel": {"cancelled", "completed"},
}


def audit(
    jobs: Sequence[Job], standing: Iterable[Row], moments: Iterable[Moment], requests: Iterable[Request]
) -> dict[str, list[str]]:
    """Looks for violations.

    Args:
        jobs: The tasks.
        standing: The effects that stand.
        moments: What the tools did.
        requests: What the model server was asked.

    Returns:
        For each of `RULES` what broke it, each in one line.
    """
    found: dict[str, list[str]] = {rule: [] for rule in RULES}
    left: dict[str, list[Row]] = defaultdict(list)
    for row in standing:
        left[row.task.partition("/")[0]].append(row)
    happened: dict[tuple[str, bool], list[Moment]] = defaultdict(list)
    for moment in moments:
        if moment.action in ("begin", "undo"):
            happened[moment.key, moment.action == "undo"].append(moment)
    asked: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        asked[request.task].append(request)
    for job in jobs:
        _judge_end(job, found)
        if job.end not in ("running", "lost"):
            _judge_effects(job, left.pop(job.id, []), found)
            _judge_calls(job, happened, found)
            _judge_models(job, asked.pop(job.id, []), found)
        found["nondeterminism"] += [
            f"{job.id}: {cause}"
            for story in job.stories
            for cause in story.failed
            if "DETERMINISTIC" in cause
        ]
    return found


def _judge_end(job: Job, found: Mapping[str, list[str]]) -> None:
    rule = {"lost": "tasks lost", "running": "tasks stuck"}.get(job.end)
    if rule is None and job.end not in _GOOD_ENDS[job.fate]:
        rule = "tasks with a wrong end"
    if rule is not None:
        found[rule].append(f"{job.id} ({job.type}, meant to {job.fate}): {job.end}")


def _judge_effects(job: Job, standing: Sequence[Row], found: Mapping[str, list[str]]) -> None:
    due = Counter(TASKS[job.type] if job.end == "completed" else ())
    there = Counter(row.what for row in standing)
    found["orphaned effects"] += [f"{job.id} ({job.end}): {what}" for what in (there - due).elements()]
    found["missing effects"] += [f"{job.id} ({job.end}): {what}" for what in (due - there).elements()]


def _judge_calls(
    job: Job, happened: Mapping[tuple[str, bool], Sequence[Moment]], found: Mapping[str, list[str]]
) -> None:
    scheduled: dict[tuple[str, bool], list[Called]] = defaultdict(list)
    for call in job.calls:
        if call.type != CALL_MODEL:
            scheduled[call.key, call.is_undo].append(call)
    for (key, is_undo), calls in scheduled.items():
        rule = "double undos" if is_undo else "repeated calls"
        if len(calls) > 1:
            found[rule].append(f"{job.id}: {[call.id for call in calls]} were scheduled with one key")
        if calls[0].type.startswith("counterstep."):
            continue  # it leaves no trace outside the workflow
        made = happened.get((key, is_undo), ())
        if fault := _repeated(calls[0], [one.at for one in made]):
            found[rule].append(f"{job.id}: {fault}")
        twice = [attempt for attempt, times in Counter(one.attempt for one in made).items() if times > 1]
        if twice:
            found[rule].append(f"{job.id}: {calls[0].id} ran twice in one attempt")


def _judge_models(job: Job, asked: Sequence[Request], found: Mapping[str, list[str]]) -> None:
    turns = [call for call in job.calls if call.type == CALL_MODEL]
    for turn, call in enumerate(turns, 1):
        times = [request.at for request in asked if request.turn == turn]
        if fault := _repeated(call, times):
            found["repeated model calls"].append(f"{job.id}: {fault}")
    unknown = [request for request in asked if request.turn > len(turns)]
    if unknown:
        found["repeated model calls"].append(
            f"{job.id}: {len(unknown)} requests that history knows nothing of"
        )


def _repeated(call: Called, times: Sequence[float]) -> str | None:
    """Says how a call was repeated; one without an answer in history may be made in each of its attempts."""
    if call.answered is None:
        return None
    late = sum(1 for at in times if at > call.answered)
    if late:
        return f"{call.id} was made {late} times after its answer had reached history"
    if not 1 <= len(times) <= call.attempt:
        return f"{call.id} was made {len(times)} times in {call.attempt} attempts"
    return None
