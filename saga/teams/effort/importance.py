"""How much each member has added to the answer: the Agent Importance Score (DyLAN, arXiv 2310.02170)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

_MOST = 5


class Rater(NamedTuple):
    """One turn, and what it has said of those before it.

    Attributes:
        number: Its number.
        member: Whose it is.
        ratings: What it has said of each turn whose answer it was shown, by number, from 1 to 5; anything
            else there says nothing.
    """

    number: int
    member: str
    ratings: Mapping[int, Any]


def importance(turns: Sequence[Rater], answer: Collection[int]) -> dict[str, float]:
    """Returns the part of each member in an answer.

    All that counts is 1 in the end, in equal parts with those who gave the answer. Each of these passes its
    part on to whom it has heard, as it has rated them, and so on to the first turns; what a member has is the
    sum over its turns, as a part of the sum over all. Where ratings say nothing, all have the same.

    Args:
        turns: Oldest first.
        answer: The numbers of the turns that gave the answer.

    Returns:
        Numbers that add up to 1, by member; nothing where nobody gave the answer.
    """
    parts = {turn.number: (1 / len(answer) if turn.number in answer else 0.0) for turn in turns}
    for turn in reversed(turns):
        for number, weight in _weights(turn.ratings).items():
            parts[number] += weight * parts[turn.number]
    whole = sum(parts.values())
    if not whole:
        return {}
    by_member = dict.fromkeys((turn.member for turn in turns), 0.0)
    for turn in turns:
        by_member[turn.member] += parts[turn.number] / whole
    return by_member


def as_score(part: float, members: int) -> float:
    """Returns a member's part as a score from 0 to 1 that is the same for teams of any size.

    Args:
        part: See `importance`.
        members: How many members have taken part.

    Returns:
        0.5 where the member has added as much as the others on average, and more where it has added more.
    """
    return part / (part + 1 / members)


def _weights(ratings: Mapping[int, Any]) -> dict[int, float]:
    """Returns ratings as weights that add up to 1."""
    said = {number: _weight(rating) for number, rating in ratings.items()}
    whole = sum(said.values())
    return {number: weight / whole if whole else 1 / len(said) for number, weight in said.items()}


def _weight(rating: Any) -> float:
    is_number = isinstance(rating, int | float) and not isinstance(rating, bool)
    return min(max(rating, 0), _MOST) / _MOST if is_number else 0.0
