"""One question to people, and what has been said to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from ..ledger.ledger import Entry
from ..names import nearest
from ..record.task_state import TaskState
from ..spec.arguments import canonical
from ..spec.json_schema import check_input, in_short
from .terms import ANYBODY, Terms
from .updates import Answer

Check = Callable[[Any], str | None]
"""Says what is wrong with the value of an action, or None."""

MOST_REMINDERS: Final = 200
"""How often people are reminded of one question: each time is a few events of the history."""

UNDO_ACTIONS: Final = ("retry", "skip", "done")
"""What people can say about a stuck undo."""

_ALONE = ("reject", "edit")
"""One person is enough to say no; what somebody has edited, the others are asked anew."""


def fits(schema: Mapping[str, Any]) -> Check:
    """Returns the check of a value that stands for an output of this JSON Schema."""

    def fault(value: Any) -> str | None:
        return (
            in_short(f"{part.path or 'value'}: {part.message}" for part in check_input(schema, value)) or None
        )

    return fault


@dataclass(slots=True)
class StepQuestion:
    """What one step asks.

    Attributes:
        step: The step, or the item of it.
        kind: Why it asks, e.g. ``escalated``.
        ask: One sentence.
        actions: The possible answers, each with a check of its value; None where it takes no value.
        since: When it was asked.
        state: What the task shows meanwhile; ``needs_attention`` is answered by ``resolve``.
        show: What the person is to look at; JSON.
        hash: Of what is shown; an answer has to name it. Empty where none has to.
        terms: Who is asked, and how long is waited for them.
        said: What those have said who have not decided it alone.
        reminders: How often people were reminded.
        escalated: Whether others may answer by now.
        answer: The answer that counts.
    """

    step: str
    kind: str
    ask: str
    actions: Mapping[str, Check | None]
    since: datetime
    state: TaskState = TaskState.WAITING
    show: Any = None
    hash: str = ""
    terms: Terms = ANYBODY
    said: list[Answer] = field(default_factory=list)
    reminders: int = 0
    escalated: bool = False
    answer: Answer | None = None

    @property
    def update(self) -> str:
        """The update that answers it."""
        return "resolve" if self.state is TaskState.NEEDS_ATTENTION else "decide"

    def take(self, answer: Answer) -> None:
        """Takes one person's answer; it counts at once, or when enough others have said the same."""
        self.said.append(answer)
        alike = [said for said in self.said if _alike(said, answer)]
        if answer.action in _ALONE or len(alike) >= self.terms.people:
            by = ", ".join(said.by for said in alike)
            proven = all(said.proven for said in alike)
            self.answer = answer.model_copy(update={"by": by, "proven": proven})

    def fault(self, answer: Answer) -> str | None:
        """Says why an answer cannot be taken, or None."""
        if any(said.by.casefold() == answer.by.casefold() for said in self.said):
            return f"{answer.by} has answered already; {self.terms.people} different people are asked"
        action = answer.action
        if action not in self.actions:
            takes = ", ".join(self.actions)
            return f"{self.step!r} takes {takes}, not {action!r}{nearest(action, self.actions)}"
        refusal = self.terms.refusal(answer, escalated=self.escalated)
        if refusal is not None:
            return refusal
        check = self.actions[action]
        if check is None:
            return f"{action} takes no value" if answer.value is not None else None
        return check(answer.value)

    # --- times

    def next_time(self) -> tuple[datetime, str] | None:
        """Returns when something is to happen though nobody answers, and what; None where nothing is.

        It is one of ``deadline``, ``escalate`` and ``remind``.
        """
        terms = self.terms
        times: list[tuple[datetime, str]] = []
        if terms.deadline is not None:
            times.append((self.since + terms.deadline, "deadline"))
        if terms.escalate is not None and terms.roles and not self.escalated:
            times.append((self.since + terms.escalate.after, "escalate"))
        if terms.remind is not None and self.reminders < MOST_REMINDERS:
            times.append((self.since + terms.remind * (self.reminders + 1), "remind"))
        return min(times, key=lambda time: time[0], default=None)

    @staticmethod
    def left(until: datetime, now: datetime) -> timedelta:
        """Returns how long to wait; a timer takes a millisecond at least."""
        return max(until - now, timedelta(milliseconds=1))

    # --- as JSON

    def as_json(self) -> dict[str, Any]:
        """Returns it as the board has it."""
        terms = self.terms
        roles = [sorted(roles) for roles in terms.wanted(escalated=self.escalated)]
        asked: dict[str, Any] = {
            "step": self.step,
            "kind": self.kind,
            "ask": self.ask,
            "actions": list(self.actions),
            "since": self.since.isoformat(),
            "update": self.update,
        }
        if self.show is not None:
            asked["show"] = self.show
        if self.hash:
            asked["hash"] = self.hash
        if terms.people > 1:
            asked |= {"people": terms.people, "said": [_said(answer) for answer in self.said]}
        if roles:
            asked["roles"] = roles
        if terms.not_by:
            asked["not_by"] = sorted(terms.not_by)
        if terms.deadline is not None:
            asked |= {"deadline": (self.since + terms.deadline).isoformat(), "default": terms.default}
        if self.reminders:
            asked["reminders"] = self.reminders
        if self.escalated:
            asked["escalated"] = True
        return asked


def stuck_question(entry: Entry, since: datetime | None) -> dict[str, Any]:
    """Returns, as the board has it, what is asked about a stuck undo.

    Args:
        entry: Its entry of the ledger.
        since: Since when it is stuck; None where that does not matter.
    """
    asked = {
        "step": entry.step,
        "entry": entry.id,
        "kind": "undo",
        "ask": f"the undo {entry.compensation} is stuck: {entry.error}",
        "actions": list(UNDO_ACTIONS),
        "update": "resolve",
    }
    return asked if since is None else {**asked, "since": since.isoformat()}


def _alike(one: Answer, other: Answer) -> bool:
    return one.action == other.action and canonical(one.value) == canonical(other.value)


def _said(answer: Answer) -> dict[str, Any]:
    proven = {"proven": True} if answer.proven else {}
    return {"by": answer.by, "action": answer.action, "note": answer.note, **proven}
