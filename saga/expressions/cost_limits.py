"""What the loops of one expression may cost: items that they visit, and characters that they copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .effort import Evaluation
from .json_values import OperationRefused, kind
from .parsed import LoopBody, Path

MAX_ITEMS = 10_000
"""Items that all loops of one evaluation may visit: a workflow that thinks for 2 s is taken for dead."""

MAX_COPIED = 20_000_000
"""Characters of the values that one evaluation may copy: 1 MB for each of 2000 items would take minutes."""


class Loops:
    """Prepares what the loops of one evaluation run over.

    The library visits the keys of a map in an order that changes from run to run, so they are sorted: an
    expression in a workflow must give the same answer when it is replayed.
    """

    def __init__(
        self, weigh: Callable[[Sequence[Path]], int], bodies: Sequence[LoopBody], evaluation: Evaluation
    ) -> None:
        """Prepares one evaluation.

        Args:
            weigh: Returns how many characters the values at some paths have.
            bodies: What each of the expression's loops does with an item.
            evaluation: What it takes.
        """
        self._evaluation = evaluation
        self._weigh = weigh
        self._bodies = bodies
        self._heaviest: dict[int, int] = {}
        self._items = 0
        self._copied = 0

    def items(self, value: Any, loop: int) -> list[Any]:
        """Returns the items of a list or the keys of a map.

        Args:
            value: The list or map.
            loop: Which of the expression's loops it is.

        Raises:
            Refused: It is neither, or the loops of this evaluation visit too many items, or copy too much.
        """
        if not isinstance(value, list | dict):
            raise OperationRefused(f"{kind(value)} is neither a list nor a map")
        self._items += len(value)
        if self._items > MAX_ITEMS:
            raise OperationRefused(f"its loops visit more than {MAX_ITEMS} items")
        body = self._bodies[loop]
        if body.items:
            self._heaviest[loop] = max(map(weight, value), default=0)
        around = sum(self._heaviest.get(other, 0) for other in body.items if other != loop)
        own = body.items.count(loop)
        self._copied += len(value) * (self._weigh(body.reads) + around)
        self._copied += own * weight(value) if own > 1 else 0
        check_copied(self._copied)
        self._evaluation.loops_over(value, copies=False)
        return sorted(value, key=str) if isinstance(value, dict) else value

    def parts(self, value: Any, loop: int) -> list[list[Any]]:
        """Returns the same in parts: n of them with n items each cost n ** 3 copies, and not n ** 4."""
        items = self.items(value, loop)
        self._evaluation.loops_over(value, copies=True)
        size = math.isqrt(len(items)) + 1
        return [items[start : start + size] for start in range(0, len(items), size)]


def joined(parts: list[list[Any]]) -> list[Any]:
    """Makes one list of the parts that a loop has made."""
    return [item for part in parts for item in part]


def check_copied(characters: int) -> None:
    """Raises `OperationRefused` where an evaluation would copy too much."""
    if characters > MAX_COPIED:
        raise OperationRefused(f"it would copy values of more than {MAX_COPIED // 1_000_000} MB altogether")


def weight(value: Any) -> int:
    """Returns about as many characters as a JSON value has."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + weight(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return len(value) + sum(map(weight, value))
    return 1
