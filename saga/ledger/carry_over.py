"""A ledger on its way into a continued run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from .ledger import Entry, EntryState, Ledger

_OVER = frozenset({EntryState.UNDONE, EntryState.SKIPPED})


class CarriedEntry(BaseModel):
    """One entry of a ledger; see `Entry`.

    Attributes:
        depends_on: Without those that the others depend on already: a chain of n calls stays of n parts.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    step: str
    compensation: str
    key: str
    depends_on: tuple[str, ...] = ()
    input: Any = None
    before: Any = None
    output: Any = None
    state: EntryState = EntryState.SETTLED
    attempts: int = 0
    error: str | None = None
    task_queue: str | None = None


def carry(ledger: Ledger) -> list[CarriedEntry]:
    """Packs a ledger; calls that certainly did not happen, and the data of what is undone, stay behind.

    Args:
        ledger: Nothing of it runs: every entry is void, settled, undone or skipped.

    Returns:
        Its entries, oldest first.
    """
    kept = [entry for entry in ledger if entry.state is not EntryState.VOID]
    known = {entry.id: position for position, entry in enumerate(kept)}
    return [_carried(entry, known, ledger) for entry in kept]


def restore(carried: Iterable[CarriedEntry]) -> Ledger:
    """Unpacks a ledger that `carry` has packed."""
    entries: dict[str, Entry] = {}
    for item in carried:
        needs = frozenset(item.depends_on)
        closed = needs.union(*(entries[need].depends_on for need in needs))
        entries[item.id] = Entry(**{**dict(item), "depends_on": closed})
    return Ledger(MappingProxyType(entries))


def _carried(entry: Entry, known: dict[str, int], ledger: Ledger) -> CarriedEntry:
    over = entry.state in _OVER
    return CarriedEntry(
        id=entry.id,
        step=entry.step,
        compensation=entry.compensation,
        key=entry.key,
        depends_on=direct(entry, known, ledger),
        input=None if over else entry.input,
        before=None if over else entry.before,
        output=None if over else entry.output,
        state=entry.state,
        attempts=entry.attempts,
        error=entry.error,
        task_queue=entry.task_queue,
    )


def direct(entry: Entry, known: Mapping[str, int], ledger: Ledger) -> tuple[str, ...]:
    """Returns what an entry depends on, without what the others of these depend on already, newest first.

    Args:
        entry: Of the ledger.
        known: The positions of the entries that count, by id.
        ledger: The whole.
    """
    covered: set[str] = set()
    found: list[str] = []
    for need in sorted(entry.depends_on & known.keys(), key=known.__getitem__, reverse=True):
        if need not in covered:
            found.append(need)
            covered |= ledger[need].depends_on
    return tuple(found)
