"""The requests that one input is made of, and what of them comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..forms import TEXT, unusable
from ..state import Turn

TO_SPLITTER = (
    "Split the input into the requests in it, each in words that can be understood alone. Priority 1 is what "
    "has to be done first, 5 what can wait. Do not answer them; one request is a list of one."
)


@dataclass(frozen=True, slots=True)
class RequestPart:
    """One request of an input.

    Attributes:
        number: Which, counted from 1.
        request: What is asked for; None for the whole input.
        priority: From 1, the first, to 5.
    """

    number: int
    request: str | None = None
    priority: int = 3


def split_form(most: int) -> dict[str, Any]:
    """Returns the JSON Schema of what a splitter says.

    Args:
        most: The most parts.
    """
    fields = {"request": TEXT, "priority": {"type": "integer", "minimum": 1, "maximum": 5}}
    part = {"type": "object", "properties": fields, "required": list(fields)}
    parts = {"type": "array", "items": part, "minItems": 1, "maxItems": most}
    return {"type": "object", "properties": {"parts": parts}, "required": ["parts"]}


def parts_of(turn: Turn, most: int) -> list[RequestPart]:
    """Returns the parts that a splitter has named; the whole input where that cannot be used."""
    if unusable(turn, split_form(most)) is not None:
        return [RequestPart(1)]
    named = turn.output["parts"]
    return [RequestPart(at, part["request"], part["priority"]) for at, part in enumerate(named, 1)]


def ordered(
    parts: Sequence[RequestPart], names: Sequence[frozenset[str]], order: Sequence[str]
) -> list[RequestPart]:
    """Returns parts in the order in which they are done.

    What is more urgent comes first, and of two that are equally so the one that was said first. Then those
    whose order is laid down change places among themselves until they stand in it.

    Args:
        parts: The parts, as they were said.
        names: By what each is called in `order`.
        order: What comes before what.
    """
    ranks = {
        part.number: min((at for at, name in enumerate(order) if name in called), default=None)
        for part, called in zip(parts, names, strict=True)
    }
    urgent = sorted(parts, key=lambda part: (part.priority, part.number))
    laid_down = iter(
        sorted((p for p in urgent if ranks[p.number] is not None), key=lambda p: ranks[p.number] or 0)
    )
    return [next(laid_down) if ranks[part.number] is not None else part for part in urgent]
