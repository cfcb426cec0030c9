"""Steps that are to be done again, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..failure import Failure


@dataclass(frozen=True, slots=True)
class Redo:
    """Steps that are to be done again.

    Attributes:
        steps: Which, with all that depend on them.
        failure: Why; every compensation is told, and it ends the task if an undo stays stuck.
        feedback: What the steps that run again are told.
        first: Those of them that are done again for sure, and the others where these come to something else.
            Empty where all are undone at once.
    """

    steps: frozenset[str]
    failure: Failure
    feedback: list[dict[str, Any]] = field(default_factory=list)
    first: frozenset[str] = frozenset()
