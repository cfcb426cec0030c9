"""What came of one job of an agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..routing.selection import Drawn
from ..verdict import Evidence


@dataclass(frozen=True, slots=True)
class AgentOutcome:
    """What came of an assignment.

    Attributes:
        output: The answer.
        evidence: The tool calls that were executed.
        models: The models that took part.
        degraded: Whether it is only what there was when a team had reached a limit.
        drawn: Those of equals who were drawn for a part of the job.
    """

    output: Any = None
    evidence: Sequence[Evidence] = ()
    models: frozenset[str] = field(default_factory=frozenset)
    degraded: bool = False
    drawn: tuple[Drawn, ...] = ()
