"""A task on its way into a continued run: what it needs to go on, and to go back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RawValue

from ..expressions.expression import compile_expression
from ..expressions.template import expressions
from ..history_format import FORMAT_VERSION
from ..ledger.carry_over import CarriedEntry, carry
from ..limits.payload_size import MAX_MESSAGE, MAX_PAYLOAD
from ..record.carried_record import CarriedRecord
from ..record.step_record import StepRecord, StepState
from ..record.task_record import TaskRecord
from ..spec.graph import every_step, places, validation_places
from ..spec.snapshot import Snapshot
from ..spec.task_spec import TaskSpec

MAX_LOG = 100
"""Lines of the log that travel along."""

PAGES = 3
"""The most arguments of a continued run, where the workflow takes more than one: together they stay well
under the size of one message."""

_FRAME = 1000


class CarriedTask(CarriedRecord):
    """The first argument of a continued run is a list of this one; further ones are lists of entries.

    Attributes:
        carried: Version of this format, and what tells it from any other argument.
        snapshot: The only spec and catalog that the task uses.
        input: The task's input.
        deadline: When the task is to be rolled back, if at all.

    The others are those of `CarriedRecord`.
    """

    carried: int = FORMAT_VERSION
    snapshot: Snapshot
    input: Any = None
    deadline: datetime | None = None


def arguments_of(
    record: TaskRecord, snapshot: Snapshot, task_input: Any, deadline: datetime | None, *, most: int
) -> list[RawValue] | None:
    """Packs a task of which nothing runs.

    Args:
        record: The task's record.
        snapshot: See `CarriedTask`, as for the others.
        task_input: Its input.
        deadline: When it is to be rolled back.
        most: How many arguments the workflow takes.

    Returns:
        The arguments of the continued run; None where they are too large for it.
    """
    assert snapshot.spec is not None
    wanted = read_later(snapshot.spec)
    declared = snapshot.catalog.compensations
    task = CarriedTask(
        snapshot=snapshot,
        input=task_input,
        deadline=deadline,
        steps={name: without_output(name, progress, wanted) for name, progress in record.steps.items()},
        usage=record.spending.usage,
        accounts={name: account.carried() for name, account in record.spending.accounts.items()},
        budget=record.spending.raised,
        log=record.log.lines[-MAX_LOG:],
        lines=record.log.written,
        decisions=record.log.decisions,
        moves=record.teams.carried(),
        decided=record.log.decided.carried(),
        plans=record.plans.carried(),
        facts=record.facts,
        events=record.events,
        feedback=record.feedback,
        reruns=record.reruns,
        rounds=record.rounds,
        committed=record.committed,
        protected=tuple(sorted(record.protected)),
        consent=record.consent,
        undo_order=tuple(record.undo_order),
        undo_times=record.undos.times,
        compensations={name: e for name, e in record.compensations.items() if name not in declared},
        forked=record.forked,
    )
    ledger = carry(record.ledger)
    whole = task.model_copy(update={"entries": tuple(ledger)})
    pages = [[_dump(whole)]] if _size(_dump(whole)) <= MAX_PAYLOAD else [[_dump(task)], *_pages(ledger)]
    payloads = [workflow.payload_converter().to_payload(page) for page in pages]
    sizes = [payload.ByteSize() for payload in payloads]
    if len(payloads) > most or max(sizes) > MAX_PAYLOAD or sum(sizes) > MAX_MESSAGE:
        return None
    return [RawValue(payload) for payload in payloads]


def read_carried(arguments: Sequence[Any]) -> tuple[CarriedTask, list[CarriedEntry]]:
    """Unpacks what `arguments_of` has packed, already decoded."""
    task = CarriedTask.model_validate(arguments[0][0])
    further = [CarriedEntry.model_validate(item) for page in arguments[1:] for item in page]
    return task, [*task.entries, *further]


def read_later(spec: TaskSpec) -> frozenset[str] | None:
    """Returns the steps whose outputs may be read later on; None for all."""
    steps = list(every_step(spec.steps))
    validations = [*spec.validate_, *(v for step in steps for v in (*step.guard, *step.validate_))]
    if spec.output is None or any(v.rule is None for v in validations):
        return None  # a validator sees the outputs of all steps before its own
    sources = [place.source for step in steps for place in places(step)]
    sources += [source for _, source in expressions(spec.output)]
    sources += [place.source for place in validation_places(spec.validate_)]
    paths = [path for source in sources for path in compile_expression(source).paths]
    return frozenset(str(path.parts[0]) for path in paths if path.root == "steps" and path.parts)


def without_output(name: str, progress: StepRecord, wanted: frozenset[str] | None) -> StepRecord:
    """Returns the progress of a step, without its output where `read_later` says that nothing reads it."""
    # A step inside a group, or one that may run again, is made anew then.
    if wanted is None or name in wanted or progress.state is not StepState.COMPLETED:
        return progress
    return StepRecord(**{**_fields(progress), "output": None})


def _fields(progress: StepRecord) -> dict[str, Any]:
    return {name: getattr(progress, name) for name in StepRecord.__dataclass_fields__}


def _pages(entries: Sequence[CarriedEntry]) -> list[list[Any]]:
    """Spreads entries over pages that stay under the size of one payload."""
    pages: list[list[Any]] = [[]]
    room = MAX_PAYLOAD - _FRAME
    for entry in entries:
        dumped = _dump(entry)
        size = _size(dumped)
        if size > room and pages[-1]:
            pages.append([])
            room = MAX_PAYLOAD - _FRAME
        pages[-1].append(dumped)
        room -= size
    return pages


def _dump(value: BaseModel) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _size(value: Any) -> int:
    return workflow.payload_converter().to_payload(value).ByteSize()
