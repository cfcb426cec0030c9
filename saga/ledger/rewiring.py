"""Gives entries that stand something else to build on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from .entry import Entry, LedgerError


def rewired(
    entries: Sequence[Entry], moved: Set[str], depends_on: Mapping[str, Set[str]], gone: Set[str]
) -> list[Entry]:
    """Returns entries in an order in which each depends on earlier ones only.

    Args:
        entries: All of a ledger, oldest first.
        moved: Those that come last from now on: the rewired ones, and whatever depends on them.
        depends_on: What the rewired ones build on.
        gone: What is about to be undone, in its own order: nothing else depends on it any more.

    Raises:
        LedgerError: Entries would depend on each other.
    """
    behind = {entry.id: _needed(entry, depends_on, gone) for entry in entries if entry.id in moved}
    changed = {
        entry.id: replace(entry, depends_on=behind[entry.id]) for entry in entries if entry.id in moved
    }
    return [*(entry for entry in entries if entry.id not in moved), *map(changed.__getitem__, _order(behind))]


def with_replaced(ids: Iterable[str], by: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Returns ids, where some were replaced with what has taken their place, which may be replaced as well.

    Args:
        ids: What something builds on.
        by: What has taken the place of an id.
    """
    found: set[str] = set()
    waiting = list(ids)
    while waiting:
        name = waiting.pop()
        if name in by:
            waiting += by[name]
        else:
            found.add(name)
    return frozenset(found)


def _needed(entry: Entry, depends_on: Mapping[str, Set[str]], gone: Set[str]) -> frozenset[str]:
    needed = frozenset(depends_on.get(entry.id, entry.depends_on))
    return needed if entry.id in gone else needed - gone


def _order(behind: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Yields ids, each behind those of the same mapping that it depends on; else in the order of it."""
    places = {name: place for place, name in enumerate(behind)}
    placed: set[str] = set()
    for first in behind:
        trail = {} if first in placed else {first: _before(first, behind, places)}
        while trail:
            name = next(reversed(trail))
            need = next(trail[name], None)
            if need is None:
                del trail[name]
                placed.add(name)
                yield name
            elif need in trail:
                raise LedgerError(f"{name} would depend on itself, through {need}")
            elif need not in placed:
                trail[need] = _before(need, behind, places)


def _before(name: str, behind: Mapping[str, frozenset[str]], places: Mapping[str, int]) -> Iterator[str]:
    return iter(sorted(behind[name] & places.keys(), key=places.__getitem__))
