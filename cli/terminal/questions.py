"""What a task asks a person, and the commands that answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ...saga.ledger.call_id import label_of
from ...saga.record.task_state import TaskState
from ..arguments.shell_command import command_line

PEOPLE: Final = frozenset({TaskState.WAITING, TaskState.NEEDS_ATTENTION})
"""States of a task in which it waits for a person."""

_LONGEST: Final = 2000

# For each update and action: what must be given beside the action, and what the action means.
_NEEDS: Final = {
    ("resolve", "skip"): ("--note", "WHY"),
    ("resolve", "applied"): ("--value", "JSON"),
    ("decide", "supply"): ("--value", "JSON"),
    ("decide", "edit"): ("--value", "JSON"),
    ("decide", "answer"): ("--value", "TEXT"),
}
_MEANINGS: Final = {
    ("resolve", "retry"): "undo it again",
    ("resolve", "done"): "it has been undone by hand",
    ("resolve", "skip"): "leave it as it is",
    ("resolve", "applied"): "it has happened",
    ("resolve", "not_applied"): "it has not happened",
    ("resolve", "rollback"): "undo the rest too",
    ("resolve", "go_on"): "go on as if it were not undone",
    ("decide", "supply"): "go on with this output",
    ("decide", "replan"): "have another plan made",
    ("decide", "edit"): "approve this in its place",
    ("decide", "always"): "approve this, and further calls within it",
}


_MOST_UNDOS: Final = 10
"""So many stuck undos of one step are told one by one."""


@dataclass(frozen=True, slots=True)
class PromptedQuestion:
    """One thing that a person must decide.

    Attributes:
        task: The task that takes the answer: the one that is watched, or a child of it.
        name: How the answer names what is asked: a step, an item, a call, or an undo.
        update: The update that answers: ``decide`` or ``resolve``.
        actions: What can be answered.
        text: The question.
        answers: The commands to type, each with its meaning, which may be empty.
        since: When it was asked, in ISO 8601, because the same question can be asked again.
        terms: What is to be looked at, and what happens when nobody answers.
        hash: Of what is to be looked at; the answer names it. It is empty if no answer has to.
        needs_token: Whether an answer has to be signed.
    """

    task: str
    name: str
    update: str
    actions: tuple[str, ...]
    text: str
    answers: tuple[tuple[str, str], ...]
    since: str
    terms: tuple[str, ...] = ()
    hash: str = ""
    needs_token: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What tells this question from all others, and from the same one when it is asked again."""
        return (self.task, self.name, self.since, self.hash)

    @property
    def label(self) -> str:
        """What is asked, as people read it."""
        return label_of(self.name)

    def needs(self, action: str) -> tuple[str, ...]:
        """Returns the option that this action needs and what stands for its value; empty if it needs none."""
        return _NEEDS.get((self.update, action), ())

    def meaning(self, action: str) -> str:
        """Says what an action does, where its name does not; otherwise empty."""
        return _MEANINGS.get((self.update, action), "")

    def lines(self) -> list[str]:
        """The question and its answers, for people."""
        width = max((len(command) for command, _ in self.answers), default=0)
        shown = [
            f"  {command.ljust(width)}  # {meaning}" if meaning else f"  {command}"
            for command, meaning in self.answers
        ]
        return [self.text, *(f"  {line}" for line in self.terms), *shown]


def questions_of(board: Mapping[str, Any], options: Sequence[str] = ()) -> list[PromptedQuestion]:
    """Reads the questions that a task asks people from its board.

    Args:
        board: The board of the task.
        options: The command-line options with which the answers reach the task's server.

    Returns:
        One question for each step that asks, of the task or of its children, and for each stuck undo. If
        several undos of a step are stuck, one more answers all of them at once.
    """
    own = board["task_id"]
    undos: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    questions = []
    for asked in board.get("waiting_for") or ():
        task = asked.get("task", own)
        if asked.get("kind") == "undo":
            undos.setdefault((task, asked["step"]), []).append(asked)
        else:
            questions.append(_question(own, task, asked["step"], asked["ask"], asked, options))
    for (task, step), stuck in undos.items():
        for asked in stuck[:_MOST_UNDOS]:
            questions.append(_question(own, task, asked.get("entry") or step, asked["ask"], asked, options))
        if len(stuck) > 1:
            last = max(stuck, key=lambda asked: str(asked["since"]))
            questions.append(_question(own, task, step, _all_of(stuck), last, options))
    return questions


def _all_of(stuck: Sequence[Mapping[str, Any]]) -> str:
    left = len(stuck) - _MOST_UNDOS
    more = f"; {left} of them are not listed here, but by `status --json`" if left > 0 else ""
    return f"{len(stuck)} undos are stuck; all of them at once{more}:"


def _question(
    own: str, task: str, name: str, ask: str, asked: Mapping[str, Any], options: Sequence[str]
) -> PromptedQuestion:
    where = "" if task == own else f" of the child {task}"
    return PromptedQuestion(
        task=task,
        name=name,
        update=asked["update"],
        actions=tuple(asked["actions"]),
        text=f"{label_of(name)}{where}: {ask}",
        answers=tuple(_answer(task, name, asked, action, options) for action in asked["actions"]),
        since=asked["since"],
        terms=tuple(terms_of(asked)),
        hash=asked.get("hash", ""),
        needs_token=bool(asked.get("roles")),
    )


def terms_of(asked: Mapping[str, Any]) -> list[str]:
    """Says what a question shows, and what happens when nobody answers it; also of one that was answered."""
    lines = []
    if asked.get("show") is not None:
        lines.append(f"shown: {_short(asked['show'])}")
    if asked.get("people", 1) > 1:
        said = "".join(f"; {one['action']}: {one['by']}" for one in asked.get("said") or ())
        lines.append(f"{asked['people']} different people have to say the same{said}")
    if asked.get("roles"):
        each = " and ".join(" or ".join(roles) for roles in asked["roles"])
        lines.append(f"takes a signed answer of: {each}")
    if asked.get("deadline") is not None:
        lines.append(f"until {_second(asked['deadline'])}; then it counts as: {asked['default']}")
    return lines


def decision_lines(board: Mapping[str, Any]) -> list[str]:
    """Says what people have decided about a task, oldest first: what, who, when, why, on what evidence."""
    lines = []
    for decision in board.get("decisions") or ():
        why = f": {decision['note']}" if decision["note"] else ""
        proven = " (proven)" if decision.get("proven") else ""
        who = f"{decision['action']}, by {decision['by']}{proven} at {_second(decision['at'])}"
        lines.append(f"{decision['step']}: {who}{why}")
        lines.append(f"  asked: {decision['ask']}")
        lines += [f"  {line}" for line in terms_of(decision)]
        if decision.get("value") is not None:
            lines.append(f"  instead: {_short(decision['value'])}")
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _second(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M:%S} UTC"


def _answer(
    task: str, name: str, asked: Mapping[str, Any], action: str, options: Sequence[str]
) -> tuple[str, str]:
    update = asked["update"]
    shown = ("--hash", asked["hash"]) if asked.get("hash") else ()
    needs = (*_NEEDS.get((update, action), ()), *shown)
    command = command_line(update, task, name, action, options=needs, server=options)
    return command, _MEANINGS.get((update, action), "")
