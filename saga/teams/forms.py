"""Answers in a form that a planner needs: what is asked for, and what is wrong with what comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import FailureType
from ..spec.json_schema import check_input, in_short
from .state import Turn

TEXT = {"type": "string", "pattern": "\\S"}
"""JSON Schema of a text that says something; providers that force a schema on a model know the pattern."""


def form(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the JSON Schema of an object that has these fields, and may have more."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def one_of(names: Sequence[str], null: str = "") -> dict[str, Any]:
    """Returns the JSON Schema of a member's name.

    Args:
        names: Those that may be named.
        null: What null in place of a name means; empty where a name has to be said.
    """
    if not null:
        return {"type": "string", "enum": list(names)}
    return {"type": ["string", "null"], "enum": [*names, None], "description": f"null: {null}"}


def unusable(turn: Turn, schema: Mapping[str, Any]) -> str | None:
    """Returns why an answer cannot be used; None where it can.

    A model is corrected in its turn already, a few times; what comes after that has failed with its reason.

    Args:
        turn: A turn that has ended, and has not failed for another reason.
        schema: What the answer had to fit.
    """
    if turn.failure is not None:
        return turn.failure.message
    return in_short(check_input(schema, turn.output, "output")) or None


def has_broken_down(turn: Turn) -> bool:
    """Says whether a turn has failed for another reason than an answer that could not be used."""
    return turn.failure is not None and turn.failure.type != FailureType.INVALID_OUTPUT


def said(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Returns what was said, as members are told it: by whom, and what."""
    return [{"member": turn.member, "output": turn.output} for turn in turns if turn.has_answered]


def absent(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Returns who has failed, as members are told it: who, and why."""
    return [{"member": turn.member, "reason": turn.failure.message} for turn in turns if turn.failure]


def numbers(turns: Iterable[Turn]) -> frozenset[int]:
    """Returns the numbers of turns."""
    return frozenset(turn.number for turn in turns)
