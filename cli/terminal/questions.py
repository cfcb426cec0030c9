"""What a task asks a person, and the commands that answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...saga.record.task_state import TaskState
from ..arguments.shell_command import command_line

PEOPLE: Final = frozenset({TaskState.WAITING, TaskState.NEEDS_ATTENTION})
"""States of a task in which it waits for a person."""

# For each update and action: what must be given beside the action, and what the action means.
_NEEDS: Final = {
    ("resolve", "skip"): ("--note", "WHY"),
    ("resolve", "applied"): ("--value", "JSON"),
    ("decide", "supply"): ("--value", "JSON"),
    ("decide", "edit"): ("--value", "JSON"),
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
    ("decide", "edit"): "approve this in its place",
}


@dataclass(frozen=True, slots=True)
class PromptedQuestion:
    """One thing that a person must decide.

    Attributes:
        text: The question.
        answers: The commands to type, each with its meaning, which may be empty.
        since: When it was asked, in ISO 8601, because the same question can be asked again.
    """

    text: str
    answers: tuple[tuple[str, str], ...]
    since: str

    def lines(self) -> list[str]:
        """The question and its answers, for people."""
        width = max((len(command) for command, _ in self.answers), default=0)
        shown = [
            f"  {command.ljust(width)}  # {meaning}" if meaning else f"  {command}"
            for command, meaning in self.answers
        ]
        return [self.text, *shown]


def questions_of(board: Mapping[str, Any], options: Sequence[str] = ()) -> list[PromptedQuestion]:
    """Reads the questions that a task asks people from its board.

    Args:
        board: The board of the task.
        options: The command-line options with which the answers reach the task's server.

    Returns:
        One question for each step of the task or of its children that asks. A `resolve` answers for all stuck
        undos of a step at once.
    """
    own = board["task_id"]
    by_step: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for asked in board.get("waiting_for") or ():
        by_step.setdefault((asked.get("task", own), asked["update"], asked["step"]), []).append(asked)
    return [_question(own, task, asked, options) for (task, _, _), asked in by_step.items()]


def _question(
    own: str, id: str, asked: Sequence[Mapping[str, Any]], options: Sequence[str]
) -> PromptedQuestion:
    first = asked[0]
    where = "" if id == own else f" of the child {id}"
    return PromptedQuestion(
        text=f"{first['step']}{where}: {'; '.join(each['ask'] for each in asked)}",
        answers=tuple(_answer(id, first, action, options) for action in first["actions"]),
        since=asked[-1]["since"],
    )


def _answer(id: str, asked: Mapping[str, Any], action: str, options: Sequence[str]) -> tuple[str, str]:
    update = asked["update"]
    needs = _NEEDS.get((update, action), ())
    command = command_line(update, id, asked["step"], action, options=needs, server=options)
    return command, _MEANINGS.get((update, action), "")
