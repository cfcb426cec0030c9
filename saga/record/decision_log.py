"""What a task has decided besides what its teams have: each decision with its reason, and by whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal

from temporalio import workflow

from ..failure import trim

DecisionKind = Literal["route", "retry", "rung", "refusal", "approval", "plan", "effort"]
"""Whom or what a computed name has chosen; that something is done again; what is done instead of what has
failed; that something may not be done, or does not count; that something may; what another plan
changes; how much a team does."""

MAX_KEPT = 1000
"""Decisions that are kept; the oldest go first."""

_CARRIED = 150_000
"""Bytes of decisions that go on into a continued run, or to the parent of a child; the newest."""

_LONGEST = 500


class DecisionLog:
    """The decisions of one task.

    Attributes:
        kept: JSON objects, oldest first.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Begins an empty log; `now` is the task's clock."""
        self.kept: list[dict[str, Any]] = []
        self._now = now

    def absorb(self, decisions: Iterable[dict[str, Any]]) -> None:
        """Adds what was decided in an earlier run, or in a child."""
        self.kept += [dict(decision) for decision in decisions]
        del self.kept[:-MAX_KEPT]

    def carried(self) -> list[dict[str, Any]]:
        """Returns what a continued run, or the parent of a child, goes on with."""
        room, kept = _CARRIED, []
        for decision in reversed(self.kept):
            room -= len(json.dumps(decision))
            if room < 0:
                break
            kept.append(decision)
        return kept[::-1]

    def add(
        self,
        kind: DecisionKind,
        what: str,
        step: str,
        reason: str,
        *,
        by: str,
        call: str = "",
        proven: bool = False,
    ) -> None:
        """Adds one decision, and tells the log of the process.

        Args:
            kind: Which kind.
            what: What was decided, in a few words.
            step: The step that it belongs to; empty for the task itself.
            reason: Why.
            by: Who has decided.
            call: The path of the call that it is about; empty for the step.
            proven: Whether it was verified that it is `by`; a person's name is a claim otherwise.
        """
        decision = {
            "at": self._now().isoformat(),
            "kind": kind,
            "what": trim(what, _LONGEST),
            "step": step,
            "reason": trim(reason, _LONGEST),
            "by": trim(by, _LONGEST),
            **({"call": call} if call and call != step else {}),
            **({"proven": True} if proven else {}),
        }
        self.kept.append(decision)
        del self.kept[:-MAX_KEPT]
        log_decision(decision)


def log_decision(decision: dict[str, Any]) -> None:
    """Tells the log of the process of a decision; nothing while a workflow is replayed."""
    if workflow.in_workflow():
        workflow.logger.info("decided", extra={f"decision_{key}": part for key, part in decision.items()})
