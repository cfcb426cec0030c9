"""Who did what in a task, on which step, why and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ..errors import FailureType
from ..failure import Failure, trim
from ..verdict import Verdict
from .bounded import bounded
from .decision_log import DecisionKind, DecisionLog

MAX_LOG = 1000
"""Lines of the log that are kept; the oldest go first."""

MAX_DECISIONS = 50
"""Decisions that are kept; the oldest go first. Their lines in the log may stay longer."""

_REFUSALS = frozenset({FailureType.BUDGET_EXCEEDED, FailureType.LIMIT_REACHED, FailureType.BREAKER_OPEN})

_LONGEST_WHY = 500
_MAX_EVIDENCE = 2_000


class TaskLog:
    """The log of one task.

    Attributes:
        lines: JSON objects, oldest first. ``n`` numbers them: a replay may tell another ``at`` by
            milliseconds, never another ``n``.
        written: How many lines the log has had.
        decisions: What people were asked, with the answer that counted, oldest first; JSON objects.
        decided: What the task has decided, with reasons; what its teams have is in their own log.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Begins an empty log; `now` is the task's clock."""
        self.lines: list[dict[str, Any]] = []
        self.written = 0
        self.decisions: list[dict[str, Any]] = []
        self.decided = DecisionLog(now)
        self._now = now

    def restore(
        self,
        lines: Iterable[dict[str, Any]],
        written: int,
        decisions: Iterable[dict[str, Any]] = (),
        decided: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Goes on with the log of an earlier run."""
        self.lines, self.written, self.decisions = list(lines), written, list(decisions)
        self.decided.absorb(decided)

    def keep_answer(
        self,
        asked: Mapping[str, Any],
        *,
        action: str,
        by: str,
        note: str,
        value: Any = None,
        proven: bool = False,
    ) -> None:
        """Keeps what was asked, without the answers that were possible, and what was answered."""
        kept = {
            key: asked[key] for key in ("step", "kind", "ask", "since", "deadline", "default") if key in asked
        }
        seen = {"show": asked.get("show"), "value": value}
        evidence = {key: bounded(part, _MAX_EVIDENCE) for key, part in seen.items() if part is not None}
        answer = {"action": action, "by": by, "note": note, "at": self._now().isoformat()}
        verified = {"proven": True} if proven else {}
        self.decisions.append({**kept, **evidence, **answer, **verified})
        del self.decisions[:-MAX_DECISIONS]

    def add(self, who: str, what: str, step: str = "", why: str = "", *, proven: bool = False) -> None:
        """Adds one line; `proven` says whether it was verified that it is `who`."""
        self.written += 1
        line = {"n": self.written, "at": self._now().isoformat(), "who": who, "what": what, "step": step}
        self.lines.append({**line, "why": trim(why, _LONGEST_WHY), **({"proven": True} if proven else {})})
        del self.lines[:-MAX_LOG]

    def decide(
        self,
        kind: DecisionKind,
        what: str,
        step: str = "",
        why: str = "",
        *,
        who: str = "counterstep",
        call: str = "",
        proven: bool = False,
    ) -> None:
        """Adds a line, and what it says to the decisions of the task.

        Args:
            kind: Which kind of a decision.
            what: What was decided, in a few words.
            step: The step that it belongs to; empty for the task itself.
            why: Why.
            who: Who has decided.
            call: The path of the call that it is about; empty for the step.
            proven: Whether it was verified that it is `who`.
        """
        self.add(who, what, step, why, proven=proven)
        self.decided.add(kind, what, step, why, by=who, call=call, proven=proven)

    def judged(self, step: str, verdict: Verdict) -> None:
        """Adds the line of a verdict; one that says no is a decision."""
        why = "; ".join(verdict.reasons)
        if verdict.passed:
            self.add(verdict.validator, "passed", step, why)
        else:
            self.decide("refusal", "rejected", step, why, who=verdict.validator)

    def note_refusal(self, failure: Failure, call: str) -> None:
        """Adds a failure to the decisions where a limit allows no more; the log has its line anyway."""
        if failure.type in _REFUSALS:
            what = f"{failure.type}: not called"
            self.decided.add("refusal", what, failure.step, failure.message, by="counterstep", call=call)
