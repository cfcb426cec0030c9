"""What a finished child hands to its parent: its result, and what has to be undone of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from ..errors import FailureType
from ..ledger.call_id import CallId
from ..ledger.carry_over import direct
from ..ledger.ledger import Entry, EntryState
from ..limits.payload_size import MAX_PAYLOAD
from ..limits.usage import Usage
from ..record.task_record import TaskRecord
from ..spec.catalog import CompensationEntry


class HandedEntry(BaseModel):
    """One entry of the child's ledger whose effect stands; see `Entry`."""

    model_config = ConfigDict(frozen=True)

    id: str
    compensation: str
    key: str
    depends_on: tuple[str, ...] = ()
    input: Any = None
    before: Any = None
    output: Any = None
    task_queue: str


class HandOver(BaseModel):
    """The result of a workflow that a saga has started as its child.

    Attributes:
        handover: Version of this format, and what tells it from any other result.
        result: What the child would have returned to anybody else; JSON.
        entries: Its ledger, oldest first.
        compensations: What is declared of those that the entries name.
        usage: What it has spent.
        committed: Whether it has passed its pivot.
    """

    model_config = ConfigDict(frozen=True)

    handover: Literal[1] = 1
    result: Any = None
    entries: tuple[HandedEntry, ...] = ()
    compensations: tuple[CompensationEntry, ...] = ()
    usage: Usage = Usage()
    committed: bool = False


def hand_over(result: Any, records: Sequence[TaskRecord], spent: Usage) -> dict[str, Any]:
    """Makes the hand-over of the running workflow, which has a parent.

    Args:
        result: What it returns.
        records: Those of its sagas.
        spent: What earlier runs of it have spent that no record tells of.

    Raises:
        ApplicationError: It is too large for one payload (type ``PayloadTooLarge``).
    """
    converter = workflow.payload_converter()
    queue = workflow.info().task_queue
    plain = converter.from_payload(converter.to_payload(result))
    handed = HandOver(
        result=plain,
        entries=tuple(entry for record in records for entry in _handed(record, queue)),
        compensations=tuple(entry for record in records for entry in _declared(record)),
        usage=Usage.of_all([spent, *(record.spending.usage for record in records)]),
        committed=any(record.committed for record in records),
    )
    value = handed.model_dump(mode="json", exclude_defaults=False)
    size = converter.to_payload(value).ByteSize()
    if size > MAX_PAYLOAD:
        message = f"result and ledger of a child have {size} bytes together; the most is {MAX_PAYLOAD}"
        raise ApplicationError(message, type=FailureType.PAYLOAD_TOO_LARGE, non_retryable=True)
    return value


def read_handover(value: Any) -> HandOver:
    """Reads the result of a child; what is not a hand-over comes from a workflow that has no saga."""
    try:
        return HandOver.model_validate(value)
    except ValidationError:
        return HandOver(result=value)


def standing(record: TaskRecord) -> list[Entry]:
    """Returns the entries of a record whose effects stand, oldest first."""
    return [entry for entry in record.ledger.remaining() if entry.state is not EntryState.SKIPPED]


def absorbed(
    handed: HandOver,
    *,
    path: str,
    round_: int,
    step: str,
    depends_on: frozenset[str],
    built_on: Mapping[str, frozenset[str]] | None = None,
) -> list[Entry]:
    """Turns a child's ledger into entries of its parent's.

    Args:
        handed: What the child has handed over.
        path: Of the child's call.
        round_: Of the child's call.
        step: The parent's step.
        depends_on: What the child's call was built on.
        built_on: By the id of each of its entries, on which entries of the parent that one builds; None where
            the first ones build on what the call was built on.

    Returns:
        Entries that are still to be armed and settled, oldest first.
    """
    child = CallId(path, round_)
    known = {entry.id for entry in handed.entries}

    def needs(entry: HandedEntry) -> frozenset[str]:
        inside = frozenset(child.in_child(need) for need in entry.depends_on if need in known)
        # What the first ones depend on, the others do through them.
        return inside or depends_on if built_on is None else inside | built_on[entry.id]

    return [
        Entry(
            id=child.in_child(entry.id),
            step=step,
            compensation=entry.compensation,
            key=entry.key,
            depends_on=needs(entry),
            input=entry.input,
            before=entry.before,
            output=entry.output,
            task_queue=entry.task_queue,
        )
        for entry in handed.entries
    ]


def _handed(record: TaskRecord, queue: str) -> Iterator[HandedEntry]:
    entries = standing(record)
    for entry, depends_on in zip(entries, direct(entries), strict=True):
        yield HandedEntry(
            id=entry.id,
            compensation=entry.compensation,
            key=entry.key,
            depends_on=depends_on,
            input=entry.input,
            before=entry.before,
            output=entry.output,
            task_queue=entry.task_queue or queue,
        )


def _declared(record: TaskRecord) -> list[CompensationEntry]:
    names = {entry.compensation for entry in standing(record)}
    return [entry for name, entry in record.compensations.items() if name in names]
