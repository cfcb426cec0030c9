"""What pydantic finds wrong with a value, in one line."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MOST_FAULTS = 10
"""Faults of one value that are told at once."""


def faults_in(error: ValidationError, whole: str = "value", most: int = MOST_FAULTS) -> str:
    """Writes ``PATH: MESSAGE; PATH: MESSAGE; ...``.

    Args:
        error: What pydantic has found.
        whole: What the value itself is called where all of it is wrong.
        most: How many faults are named at the most.

    Returns:
        One line; it says how many faults it leaves out.
    """
    found = error.errors(include_url=False)
    parts = [f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}" for fault in found[:most]]
    if len(found) > most:
        parts.append(f"and {len(found) - most} more")
    return "; ".join(parts)


def in_words(error: ErrorDetails) -> str:
    """Says what is wrong with one value, in words for people.

    Args:
        error: What pydantic has found.
    """
    value = error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"there is no key {error['loc'][-1]!r} here"
        case "missing":
            return f"{error['loc'][-1]!r} is missing"
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case "literal_error" | "enum":
            return f"{short(value)} is not one of {error['ctx']['expected']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a mapping, not {kind_of(value)}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "tuple_type":
            return f"must be a list, not {kind_of(value)}"
        case "string_type":
            return f"must be text, not {short(value)}"
        case _:
            _, _, wanted = error["msg"].partition(" should ")
            return f"must {wanted}, not {short(value)}" if wanted else error["msg"]


def kind_of(value: Any) -> str:
    """Returns what people call the type of a value of JSON."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true/false"
    names = {dict: "a mapping", list: "a list", str: "text", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def short(value: Any) -> str:
    """Writes a value as Python does, and not longer than a part of a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
