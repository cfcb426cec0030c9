"""One item of a plan, as data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..effect import Effect


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


def likeness_of(value: Any) -> str:
    """Returns the same text for equal JSON values, and for no others (SHA-256 of the sorted JSON)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
