"""One question to a person, as a page shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..client.board import Asked, Board
from ..saga.spec.arguments import canonical
from .evidence import FormField, Row, fields_of, rows_of

_LABELS: Final = {
    ("decide", "approve"): "Approve",
    ("decide", "reject"): "Reject",
    ("decide", "edit"): "Approve as edited",
    ("decide", "always"): "Approve, also later calls like it",
    ("decide", "retry"): "Try it again",
    ("decide", "skip"): "Go on without it",
    ("decide", "supply"): "Go on with this output",
    ("decide", "replan"): "Have another plan made",
    ("decide", "rollback"): "Undo the task",
    ("decide", "answer"): "Answer",
    ("resolve", "retry"): "Undo it again",
    ("resolve", "done"): "It is undone by hand",
    ("resolve", "skip"): "Leave the effect as it is",
    ("resolve", "applied"): "It has happened",
    ("resolve", "not_applied"): "It has not happened",
    ("resolve", "rollback"): "Undo the rest too",
    ("resolve", "go_on"): "Go on",
}
_KINDS: Final = {
    "approval": "A call that needs a yes",
    "approve": "A step that needs a yes",
    "escalated": "A step that has failed",
    "undo": "An undo that is stuck",
    "pivot": "A call that cannot be undone",
    "reset": "A reset of the task",
    "output": "The task's output",
    "needs_input": "An agent has a question",
    "member": "A team asks its member",
}
_YES_OR_NO: Final = ("approve", "reject", "edit")
_WITH_AGENT: Final = ("approval", "needs_input")
"""What these questions show has keys of our own, which are shown at their own places."""

_OWN_KEYS: Final = ("tool", "arguments", "agent", "edited_by", "choices")
_GOOD: Final = frozenset({"approve", "retry", "answer"})
_BAD: Final = frozenset({"reject", "rollback"})
_WITH_VALUE: Final = frozenset({"edit", "supply", "applied", "answer"})
NEEDS_NOTE: Final = ("resolve", "skip")
"""It leaves an effect as it is, and the log has to say why."""


_HINTS: Final = {
    ("decide", "always"): "for the rest of this task, within the bounds that the approval sets.",
    NEEDS_NOTE: "say why in the note.",
}


@dataclass(frozen=True, slots=True)
class AnswerButton:
    """One answer that a question takes.

    Attributes:
        action: What the task is told.
        label: What the button says.
        look: ``good``, ``bad`` or ``plain``.
        fields: What a person may write along with it; empty for most answers.
        hint: A sentence above the fields or the button.
    """

    action: str
    label: str
    look: str
    fields: tuple[FormField, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class QuestionView:
    """One question.

    Attributes:
        asked: What the board has of it.
        title: Why it is asked, in a few words.
        ask: The question.
        shown: A hash of all that is shown; a form sends it back.
        arguments: The arguments of the call, if it is about one.
        evidence: What else there is to look at.
        buttons: The answers.
        agent: Who wants to make the call; may be empty.
        tool: The tool that is to be called; may be empty.
        edited_by: Who has changed the arguments; may be empty.
        roles: Who is asked, by their roles; may be empty.
        is_escalated: Whether others are asked by now, since nobody had answered.
    """

    asked: Asked
    title: str
    ask: str
    shown: str
    arguments: tuple[Row, ...]
    evidence: tuple[Row, ...]
    buttons: tuple[AnswerButton, ...]
    agent: str = ""
    tool: str = ""
    edited_by: str = ""
    roles: str = ""
    is_escalated: bool = False

    @property
    def key(self) -> str:
        """How a page names it."""
        return hashlib.sha256(f"{self.asked.update} {self.name}".encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """How an answer names it: the step, or of several stuck undos of a step the one."""
        return name_of(self.asked)

    def button(self, action: str) -> AnswerButton | None:
        """Returns the button of an answer; None where it is not offered."""
        return next((button for button in self.buttons if button.action == action), None)


def questions_of(board: Board) -> list[QuestionView]:
    """Returns what a task itself asks, oldest first; what its children ask is on their own boards."""
    groups: dict[tuple[str, str], list[Asked]] = {}
    for asked in board.waiting_for:
        if asked.task is None or asked.task == board.task_id:
            groups.setdefault((asked.update, name_of(asked)), []).append(asked)
    return sorted(map(_view, groups.values()), key=lambda view: view.asked.since)


def name_of(asked: Asked) -> str:
    """Returns how an answer names a question."""
    return asked.entry or asked.step


def children_that_ask(board: Board) -> list[str]:
    """Returns the ids of the children that ask something."""
    ids = (asked.task for asked in board.waiting_for if asked.task not in (None, board.task_id))
    return list(dict.fromkeys(id for id in ids if id is not None))


def _view(group: Sequence[Asked]) -> QuestionView:
    first = group[0]
    call = first.show if first.kind in _WITH_AGENT and isinstance(first.show, Mapping) else {}
    arguments = call.get("arguments")
    rest = {name: part for name, part in call.items() if name not in _OWN_KEYS}
    evidence = rest if call else first.show
    asks = [asked.ask for asked in group]
    return QuestionView(
        asked=first,
        title=_KINDS.get(first.kind, first.kind.replace("_", " ")),
        ask="\n".join(asks),
        shown=_hash([first.kind, asks, first.actions, first.show, first.hash]),
        arguments=rows_of(arguments) if arguments else (),
        evidence=rows_of(evidence) if evidence not in (None, {}) else (),
        buttons=tuple(_button(first, action, arguments if call else first.show) for action in first.actions),
        agent=str(call.get("agent") or ""),
        tool=str(call.get("tool") or ""),
        edited_by=str(call.get("edited_by") or ""),
        roles=", and ".join(" or ".join(map(str, roles)) for roles in getattr(first, "roles", None) or ()),
        is_escalated=bool(getattr(first, "escalated", False)),
    )


def _button(asked: Asked, action: str, editable: Any) -> AnswerButton:
    name = (asked.update, action)
    # The step's own choices may be named like answers of other questions.
    is_choice = asked.kind == "approve" and asked.actions != _YES_OR_NO
    label = action.replace("_", " ") if is_choice else _LABELS.get(name, action.replace("_", " "))
    look = "good" if action in _GOOD else "bad" if action in _BAD else "plain"
    if is_choice:
        return AnswerButton(action, label, "plain")
    hint = _HINTS.get(name, "")
    fields: tuple[FormField, ...] = ()
    if action == "edit":
        fields = fields_of(editable)
    elif action == "answer":
        choices = asked.show.get("choices") if isinstance(asked.show, Mapping) else None
        fields = (FormField("", "text", "", is_long=True, options=tuple(choices or ())),)
    elif action in _WITH_VALUE:
        hint = "The output of the step, as JSON."
        fields = (FormField("", "json", "null" if action == "applied" else "", is_long=True),)
    return AnswerButton(action, label, look, fields, hint)


def _hash(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:32]
