"""Finds what is wrong with a plan, all of it, before the first of its items runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..effect import Effect
from ..names import nearest
from .planned_item import PlannedItem

KEY = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"
"""What a key may look like: it stands in paths, as in ``ops[book_hotel]``."""


MOST_ORDERED = 1000
"""The most items of a plan whose items come after each other: each is compared with all that come before."""


MOST_TOLD = 20
"""So many faults of a plan are told at once; a model that reads more does not mend more."""


def key_fault(key: object) -> str | None:
    """Says why a value cannot name an item, or None."""
    if isinstance(key, str) and re.fullmatch(KEY, key):
        return None
    return f"the key {key!r} is not a name: up to 64 letters, digits, _, - and . are"


def plan_faults(items: Sequence[PlannedItem]) -> Iterator[str]:
    """Yields what is wrong with the order of a plan.

    There is one pivot at most, and what can be undone comes before it, as in a task: the pivot itself waits
    for all that does not come after it.

    Args:
        items: Those of one plan; their keys are names.
    """
    first: dict[str, PlannedItem] = {}
    for item in items:
        known = first.setdefault(item.key, item)
        if known is not item:
            yield f"the key {item.key!r} is that of the items {known.index} and {item.index}"
    for item in first.values():
        for name in item.after:
            if name == item.key:
                yield f"{item.key!r} comes after itself"
            elif name not in first:
                yield f"{item.key!r} comes after {name!r}, which is not in the plan{nearest(name, first)}"
    ancestors = _ancestors(first)
    circular = [key for key in first if key in ancestors[key]]
    if len(circular) > 1:
        yield f"these wait for each other, or for such: {', '.join(circular)}"
    pivots = [item for item in first.values() if item.effect is Effect.PIVOT]
    for other in pivots[1:]:
        yield (
            f"{other.key!r} is a point of no return ({other.target}), and {pivots[0].key!r} is one already; "
            "a task has one"
        )
    for item in first.values():
        late = [pivot.key for pivot in pivots if pivot.key in ancestors[item.key]]
        if late and item.effect is Effect.COMPENSATABLE:
            yield f"{item.key!r} can be undone, and comes after {late[0]!r}, which cannot; put it before"


def ancestors_of(items: Sequence[PlannedItem]) -> dict[str, frozenset[str]]:
    """Returns for each key those that it comes after, directly or not."""
    return _ancestors({item.key: item for item in items})


def _ancestors(items: Mapping[str, PlannedItem]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for key in items:
        seen: set[str] = set()
        waiting = list(items[key].after)
        while waiting:
            name = waiting.pop()
            if name in items and name not in seen:
                seen.add(name)
                if name in found and name not in found[name]:
                    seen |= found[name]
                else:
                    waiting += items[name].after
        found[key] = frozenset(seen)
    return found
