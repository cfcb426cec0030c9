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
        token: The token that proves who says so; None where none is asked for.
    """

    argument: dict[str, Any]
    note: str
    token: str | None = None


async def ask_answer(question: PromptedQuestion, *, signed: bool) -> TypedAnswer | None:
    """Asks for an action, for the value that it needs, and for a note.

    Args:
        question: The question, which has been shown with all that belongs to it.
        signed: Whether the answer has to be signed, so that a token is asked for too.

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
        answer = await _completed(question, action, signed=signed)
        if answer is not None:
            return answer


def chosen(actions: tuple[str, ...], typed: str) -> str | None:
    """Returns the action that somebody has typed, as its number or its whole word; None if there is none."""
    if typed.isascii() and typed.isdecimal():
        return actions[int(typed) - 1] if 0 < int(typed) <= len(actions) else None
    word = typed.strip(".!").casefold()
    return next((action for action in actions if action.casefold() == word), None)


async def _completed(question: PromptedQuestion, action: str, *, signed: bool) -> TypedAnswer | None:
    """Asks for what an action needs; None where it was not given, so that another may be chosen."""
    argument: dict[str, Any] = {"step": question.name, "action": action}
    if question.hash:
        argument["hash"] = question.hash
    option, value = question.needs(action) or ("", "")
    if option == "--value":
        given = await _value(action, is_text=value == "TEXT")
        if given is None:
            return None
        argument["value"] = given.value
    needs_note = option == "--note"
    asked = f"{action} needs a note" if needs_note else "Enter for no note"
    note = await ask_line(f"Why? ({asked}): ")
    if needs_note and not note:
        return None
    if not signed:
        return TypedAnswer(argument, note)
    token = await ask_line("A signed token: ")
    return TypedAnswer(argument, note, token) if token else None


@dataclass(frozen=True, slots=True)
class _Given:
    value: Any


async def _value(action: str, *, is_text: bool) -> _Given | None:
    """Asks for a value until it can be read; None where nothing is typed."""
    while True:
        how = "a line of text" if is_text else "JSON, in one line"
        typed = await ask_line(f"{action}, with which value? ({how}): ")
        if not typed:
            return None
        if is_text:
            return _Given(typed)
        try:
            return _Given(read_value(typed, option="the value"))
        except SpecError as error:
            say(str(error))
