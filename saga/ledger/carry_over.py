"""A ledger on its way into a continued run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from .entry import Entry, EntryState
from .ledger import Ledger
from .needs import Needs

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
    return [_carried(entry, needs) for entry, needs in zip(kept, direct(kept), strict=True)]


def restore(carried: Iterable[CarriedEntry]) -> Ledger:
    """Unpacks a ledger that `carry` has packed."""
    return Ledger(Entry(**{**dict(item), "depends_on": frozenset(item.depends_on)}) for item in carried)


def _carried(entry: Entry, depends_on: tuple[str, ...]) -> CarriedEntry:
    over = entry.state in _OVER
    return CarriedEntry(
        id=entry.id,
        step=entry.step,
        compensation=entry.compensation,
        key=entry.key,
        depends_on=depends_on,
        input=None if over else entry.input,
        before=None if over else entry.before,
        output=None if over else entry.output,
        state=entry.state,
        attempts=entry.attempts,
        error=entry.error,
        task_queue=entry.task_queue,
    )


def direct(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Returns for each entry what it depends on, without what the others of these depend on already.

    Args:
        entries: Of one ledger, oldest first; what is not among them does not count, but what it depends on.

    Returns:
        Ids, newest first; the same tuple for entries that depend on the same.
    """
    places = {entry.id: place for place, entry in enumerate(entries)}
    needs_of = {entry.id: _needs(entry) for entry in entries}
    found: dict[int, tuple[str, ...]] = {}
    for needs in needs_of.values():
        if id(needs) not in found:
            found[id(needs)] = _nearest(needs, places, needs_of)
    return [found[id(needs)] for needs in needs_of.values()]


def _nearest(needs: Needs, places: Mapping[str, int], needs_of: Mapping[str, Needs]) -> tuple[str, ...]:
    names: set[str] = set()
    stack, visited = [needs], set[int]()
    while stack:
        part = stack.pop()
        if id(part) not in visited:
            visited.add(id(part))
            names |= part.direct.keys() & places.keys()
            stack += [further for name, further in part.direct.items() if name not in places]
    nearest = sorted(names, key=places.__getitem__, reverse=True)
    if len(visited) > 1 and len(nearest) > 1:
        for name in nearest:
            if name in names:
                names -= set(needs_of[name])
    return tuple(name for name in nearest if name in names)


def _needs(entry: Entry) -> Needs:
    assert isinstance(entry.depends_on, Needs)
    return entry.depends_on
