"""From a workflow's input to a running task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from ..calls.headers import PARENT
from ..effect import Effect
from ..errors import FailureType
from ..fault_texts import faults_in
from ..history_format import ENGINE
from ..limits.usage import Usage
from ..names import nearest
from ..record.carried_record import CarriedRecord
from ..record.fork import Fork, ForkRequest
from ..record.search_attributes import SAGA_STATE
from ..record.status import Status
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..spec.graph import every_step
from ..spec.rules.pivot_rules import effects_of
from ..spec.snapshot import Snapshot, SnapshotRequest
from ..temporal.task_marker import mark_as_task
from .admission import admit
from .continue_as_new import read_carried
from .engine import Engine
from .lifecycle import failure_of
from .opening import OBSERVER, open_record

_KEYS = ("task", "spec", "input", "fork")


def read_request(arguments: Sequence[Any]) -> SnapshotRequest:
    """Reads the input of ``AgentTask``.

    Raises:
        ApplicationError: It has another shape; nothing has run.
    """
    request = _only_argument("AgentTask", arguments)
    if not isinstance(request, Mapping):
        raise _refused('the input is {"task": NAME, "input": {...}} or {"spec": {...}, "input": {...}}')
    for key in request:
        if key not in _KEYS:
            raise _refused(f"there is no key {key!r} here{nearest(str(key), _KEYS)}")
    task, spec = request.get("task"), request.get("spec")
    if request.get("fork") is not None:
        return _read_fork(request)
    if (task is None) == (spec is None):
        raise _refused("say exactly one of task and spec")
    if task is not None and not isinstance(task, str):
        raise _refused("task must be the name of a registered task")
    return SnapshotRequest(task=task, spec=spec, input=request.get("input", {}))


def _read_fork(request: Mapping[str, Any]) -> ForkRequest:
    if request.get("spec") is None or request.get("task") is not None:
        raise _refused(
            "a fork says spec, and not task: counterstep fork makes it from the first task's history"
        )
    try:
        fork = Fork.model_validate(request["fork"])
    except ValidationError as error:
        raise _refused(f"fork: {faults_in(error)}") from None
    return ForkRequest(
        spec=request["spec"],
        input=request.get("input", {}),
        called=fork.task,
        agents=fork.source.agents,
        fork=fork,
    )


def read_registered(task: str, args: Sequence[Any]) -> SnapshotRequest:
    """Reads the arguments of a registered task.

    Raises:
        ApplicationError: There is more than one, or it is not JSON; nothing has run.
    """
    value = _only_argument(task, args)
    return SnapshotRequest(task=task, input={} if value is None else value)


async def run_task(arguments: Sequence[Any], read: Callable[[Sequence[Any]], SnapshotRequest]) -> Any:
    """Runs a task to its end.

    Args:
        arguments: Those of the workflow; raw, or decoded where there are several.
        read: Reads them, where they do not come from an earlier run of the task.

    Returns:
        A `TaskResult` as JSON.

    Raises:
        ApplicationError: The arguments are wrong, or as `Engine.run`.
    """
    mark_as_task()
    if _is_continued(arguments):
        engine = _restored(arguments)
    else:
        engine = await _begun(arguments, read)
    result = await engine.run()
    return result.model_dump(mode="json") if PARENT.get() is None else result.output


def _is_continued(arguments: Sequence[Any]) -> bool:
    """Says whether the arguments are an earlier run's; no caller can make them look so."""
    if workflow.info().continued_run_id is None or not arguments:
        return False
    value = _decoded(arguments[0])
    return (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and "snapshot" in value[0]
    )


def _decoded(argument: Any) -> Any:
    if not isinstance(argument, RawValue):
        return argument
    return workflow.payload_converter().from_payload(argument.payload)


def _restored(arguments: Sequence[Any]) -> Engine:
    task, entries = read_carried([_decoded(argument) for argument in arguments])
    record = open_record(task.snapshot.task)
    record.restore(task, entries)
    return _engine(record, task.snapshot, task.input, task.deadline)


async def _begun(arguments: Sequence[Any], read: Callable[[Sequence[Any]], SnapshotRequest]) -> Engine:
    try:
        question = read(arguments)
    except ApplicationError:
        _end_early(open_record(workflow.info().workflow_type), TaskState.ROLLED_BACK)
        raise
    record = open_record(question.task or question.called or _name_in(question.spec))
    try:
        snapshot, deadline = await admit(record, question)
        _refuse_hidden_pivot(snapshot)
        if isinstance(question, ForkRequest):
            _expect_steps(question.fork, snapshot)
    except ApplicationError as error:
        record.blame(failure_of(error))
        _end_early(record, TaskState.ROLLED_BACK)
        raise
    except (ActivityError, asyncio.CancelledError):
        # Not when the run is only evicted.
        if workflow.in_workflow() and workflow.cancellation_reason() is not None:
            _end_early(record, TaskState.CANCELLED)
        raise
    if isinstance(question, ForkRequest):
        _take_over(record, question.fork)
    return _engine(record, snapshot, question.input, deadline)


def _end_early(record: TaskRecord, state: TaskState) -> None:
    """Shows how a task has ended that has not begun; its start may have called it running.

    Of such a task no history says by which engine it was refused.
    """
    said = workflow.info().typed_search_attributes.get(SAGA_STATE)
    if said not in (None, state.value) and workflow.patched("counterstep.ended_early"):
        Status(record, search_attributes=False, engine=ENGINE).enter(state)
    else:
        record.enter(state)


def _expect_steps(fork: Fork, snapshot: Snapshot) -> None:
    assert snapshot.spec is not None
    known = {step.id for step in every_step(snapshot.spec.steps)}
    for name in fork.steps:
        step = name.rpartition("/")[2]
        if step not in known:
            raise _refused(f"fork.steps: the spec has no step {step!r}{nearest(step, known)}")


def _take_over(record: TaskRecord, fork: Fork) -> None:
    """Begins with what another task has finished; the ledger stays empty, for its undos stay with it."""
    record.restore(
        CarriedRecord(
            steps=fork.steps,
            usage=Usage(),
            log=record.log.lines,
            lines=record.log.written,
            facts=fork.facts,
            events=fork.events,
            feedback=fork.feedback,
            forked=fork.source,
        )
    )
    taken = ", ".join(fork.steps) or "nothing"
    why = f"{taken} is taken over; what that did is undone there only"
    record.log.add("counterstep", f"forked from {fork.source.id}, before {fork.source.step}", "", why)


def _engine(
    record: TaskRecord, snapshot: Snapshot, task_input: Any, deadline: datetime | None = None
) -> Engine:
    observer = OBSERVER.get()
    if observer is not None:
        observer.begins(record, snapshot, task_input)
    return Engine(record, snapshot, task_input, deadline)


def _refuse_hidden_pivot(snapshot: Snapshot) -> None:
    """Refuses a child with a pivot whose parent does not know that it has one.

    The parent could go on with what can be undone, and would have to leave it when it fails later.

    Raises:
        ApplicationError: It is such a child; nothing has run.
    """
    parent, spec = PARENT.get(), snapshot.spec
    if parent is None or parent.effect is Effect.PIVOT or spec is None or snapshot.engine < 2:
        return
    pivot = next((step for step in spec.steps if Effect.PIVOT in effects_of(step, snapshot.catalog)), None)
    if pivot is None:
        return
    message = (
        f"{pivot.id!r} cannot be undone, and the task that has started this one does not know of it; "
        f"say effect: pivot in its step {parent.step!r}"
    )
    raise ApplicationError(message, type=FailureType.INVALID_SPEC, non_retryable=True)


def _only_argument(task: str, args: Sequence[Any]) -> Any:
    if len(args) > 1:
        raise _refused(f"{task} takes one argument, its input, and not {len(args)}")
    try:
        value = _decoded(args[0]) if args else None
    except Exception as error:
        raise _refused(f"the input of {task} is not JSON: {error}") from None
    if isinstance(value, bytes):
        raise _refused(f"the input of {task} is not JSON but {len(value)} bytes")
    return value


def _name_in(spec: Any) -> str:
    name = spec.get("name") if isinstance(spec, Mapping) else None
    return name if isinstance(name, str) else "?"


def _refused(message: str) -> ApplicationError:
    return ApplicationError(message, type=FailureType.INVALID_INPUT, non_retryable=True)
