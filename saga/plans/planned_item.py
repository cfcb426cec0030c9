"""One item of a plan, as data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..effect import Effect
from ..history_format import ENGINE
from ..spec.arguments import one_kind_of_number


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One item of a plan.

    Attributes:
        key: Names it, in the plan and from one plan to the next.
        index: Its place in the plan.
        value: The item itself.
        after: The keys of those that it comes after.
        likeness: What it is compared by with the item of the same key in another plan.
        effect: The worst that it may do.
        target: What it calls, for people; empty where that is no agent and no tool.
        uses_results: Whether it is given what the items before it come to, and so changes with them.
    """

    key: str
    index: int
    value: Any
    after: tuple[str, ...] = ()
    likeness: str = ""
    effect: Effect = Effect.COMPENSATABLE
    target: str = ""
    uses_results: bool = False


def likeness_of(value: Any, engine: int = ENGINE) -> str:
    """Returns the same text for equal JSON values, and for no others (SHA-256 of the sorted JSON).

    JSON knows one kind of number: 1 and 1.0 are equal.

    Args:
        value: The value.
        engine: By which rules the task is run, see `ENGINE`.
    """
    told = value if engine < 6 else one_kind_of_number(value)
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
