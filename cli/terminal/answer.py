"""Asks at the terminal for the answer to one question of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...saga.errors import SpecError
from ..arguments.values import read_value
from .keyboard import ask_line
from .output import say
from .questions import PromptedQuestion


@dataclass(frozen=True, slots=True)
class TypedAnswer:
    """What somebody has typed.

    Attributes:
        argument: The argument of the update that answers, without `by` and `note`.
        note: The reason that was given.
    """

    argument: dict[str, Any]
    note: str


async def ask_answer(question: PromptedQuestion) -> TypedAnswer | None:
    """Asks for an action, for the value that it needs, and for a note.

    Args:
        question: The question, which has been shown with all that belongs to it.

    Returns:
        What was typed; None if nothing was, so that the question stays as it is.

    Raises:
        EOFError: Nothing more can be typed.
    """
    width = max(map(len, question.actions))
    for number, offered in enumerate(question.actions, 1):
        say(f"  {number}  {offered.ljust(width)}  {question.meaning(offered)}".rstrip())
    while True:
        typed = await ask_line("Number or word (Enter leaves it open): ")
        if not typed:
            return None
        action = chosen(question.actions, typed)
        if action is None:
            say(f"{typed!r} is not an answer here; type one of the numbers or words above.")
            continue
        answer = await _completed(question, action)
        if answer is not None:
            return answer


def chosen(actions: tuple[str, ...], typed: str) -> str | None:
    """Returns the action that somebody has typed, as its number or its whole word; None if there is none."""
    if typed.isascii() and typed.isdecimal():
        return actions[int(typed) - 1] if 0 < int(typed) <= len(actions) else None
    word = typed.strip(".!").casefold()
    return next((action for action in actions if action.casefold() == word), None)


async def _completed(question: PromptedQuestion, action: str) -> TypedAnswer | None:
    """Asks for what an action needs; None where it was not given, so that another may be chosen."""
    argument: dict[str, Any] = {"step": question.name, "action": action}
    if question.hash:
        argument["hash"] = question.hash
    needed = question.needs(action)
    if "--value" in needed:
        while "value" not in argument:
            typed = await ask_line(f"{action}, with which value? (JSON, in one line): ")
            if not typed:
                return None
            try:
                argument["value"] = read_value(typed, option="the value")
            except SpecError as error:
                say(str(error))
    if "--note" not in needed:
        return TypedAnswer(argument, await ask_line("Why? (Enter for no note): "))
    note = await ask_line(f"Why? ({action} needs a note): ")
    return TypedAnswer(argument, note) if note else None
