"""How long an evaluation takes, estimated from its values: the same on every machine and in every replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .json_values import OperationRefused

MOST = 1_000_000
"""Microseconds that one evaluation in a workflow may take: one that thinks for 2 s is taken for dead."""

_BASE = 20
_LEAF, _CONTAINER, _CHARACTERS = 0.6, 4.0, 0.004
_COPY = 0.25
"""Measured (CPython 3.11, common-expression-language 0.10): microseconds for a number, a list or map, and a
character on the way into an evaluation; and the part of them that a copy inside takes."""


class Effort:
    """Adds up what the work of one workflow takes, in microseconds.

    Attributes:
        spent: The sum.
    """

    def __init__(self) -> None:
        """Begins with nothing spent."""
        self.spent = 0

    def add(self, microseconds: int) -> None:
        """Adds some work."""
        self.spent += microseconds


class Evaluation:
    """What one evaluation takes.

    Attributes:
        whole: The sum that it is a part of; None where nobody counts, and nothing is refused.
    """

    def __init__(self, whole: Effort | None) -> None:
        """Begins one evaluation."""
        self.whole = whole
        self._spent = 0

    def reads(self, value: Any) -> None:
        """Counts a value that is read."""
        self._add(_BASE + burden(value) if self.whole is not None else 0)

    def loops_over(self, value: Any, *, copies: bool) -> None:
        """Counts a loop.

        Args:
            value: The list or map.
            copies: Whether it makes a list, of which each part is copied while the next ones are added.

        Raises:
            OperationRefused: The evaluation would take too long.
        """
        if self.whole is not None:
            items = len(value)
            self._add(5 * items + (int(math.isqrt(items) * burden(value) * _COPY) if copies else 0))

    def _add(self, microseconds: int) -> None:
        self._spent += microseconds
        if self._spent > MOST:
            raise OperationRefused("it would take more than a second: do it in a tool, or with fewer items")
        if self.whole is not None:
            self.whole.add(microseconds)


def burden(value: Any) -> int:
    """Returns about as many microseconds as a JSON value takes on its way into an evaluation."""
    return int(_burden(value))


def _burden(value: Any) -> float:
    if isinstance(value, str | bytes):
        return _LEAF + _CHARACTERS * len(value)
    if isinstance(value, Mapping):
        keys = sum(_CHARACTERS * len(key) for key in value)
        return _CONTAINER + keys + sum(map(_burden, value.values()))
    if isinstance(value, list | tuple):
        return _CONTAINER + sum(map(_burden, value))
    return _LEAF
