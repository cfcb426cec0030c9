"""How answers are compared: what they are counted by, and where they contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ExpressionError
from ..expressions.expression import compile_expression
from ..spec.arguments import canonical
from .state import Turn

MOST_CONTRADICTIONS = 20
"""Contradictions that are listed; whoever has to decide reads no more."""

NO_WORD = "<no word of it>"

_ALMOST = 1e-9
"""Parts like 2/3 are not exact."""


def choice_of(by: str | None, output: Any) -> str:
    """Returns what an answer is counted by.

    Args:
        by: An expression over ``output``; None for the whole answer.
        output: The answer.

    Raises:
        ExpressionError: The expression cannot be evaluated for this answer.
    """
    return canonical(output if by is None else value_of(by, {"output": output}))


def value_of(source: str, scope: Mapping[str, Any]) -> Any:
    """Evaluates an expression of a team.

    Raises:
        ExpressionError: It cannot be evaluated; the message has the expression.
    """
    return compile_expression(source).evaluate(scope)


def truth_of(source: str, scope: Mapping[str, Any]) -> bool:
    """Evaluates an expression of a team that has to be true or false.

    Raises:
        ExpressionError: It cannot be evaluated, or gives something else.
    """
    value = value_of(source, scope)
    if not isinstance(value, bool):
        raise ExpressionError(f"{source!r} must be true or false, not {value!r}")
    return value


def number_of(source: str, output: Any) -> float:
    """Evaluates an expression over ``output`` that has to give a number.

    Raises:
        ExpressionError: It cannot be evaluated, or gives something else.
    """
    value = value_of(source, {"output": output})
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"{source!r} must give a number, not {value!r}")
    return float(value)


def ballot(
    by: str | None, answers: Iterable[Turn], weights: Mapping[str, float] | None = None
) -> list[tuple[Turn, float]]:
    """Counts the votes for answers.

    Args:
        by: What they are counted by; see `choice_of`.
        answers: Turns that have answered.
        weights: How much the vote of a member counts, 1 where it is not named.

    Returns:
        For each answer the first turn that has given it, and the weight behind it; the most weight first,
        and the earliest of equals.

    Raises:
        ExpressionError: An answer cannot be counted.
    """
    behind: dict[str, float] = {}
    first: dict[str, Turn] = {}
    for turn in answers:
        choice = choice_of(by, turn.output)
        first.setdefault(choice, turn)
        behind[choice] = behind.get(choice, 0) + (weights or {}).get(turn.member, 1)
    ranked = sorted(behind, key=lambda choice: -behind[choice])
    return [(first[choice], behind[choice]) for choice in ranked]


class Agreement(NamedTuple):
    """The answer that more members give than any other one.

    Attributes:
        leader: The first turn that has given it.
        votes: How many have.
        is_enough: Whether it is the part of all that is asked for.
    """

    leader: Turn
    votes: float
    is_enough: bool


def agreement(
    by: str | None, answers: Iterable[Turn], unknown: int, of: int, stop: float | None
) -> Agreement | None:
    """Returns what members agree on, whatever those say who have not answered yet; None for nothing.

    Args:
        by: What is counted; see `choice_of`.
        answers: Turns that have answered.
        unknown: How many may still answer.
        of: How many there are in all.
        stop: Which part of these is enough; None where none is.

    Raises:
        ExpressionError: An answer cannot be counted.
    """
    ranked = ballot(by, answers)
    if not ranked:
        return None
    (leader, votes), second = ranked[0], ranked[1][1] if len(ranked) > 1 else 0
    if votes <= second + unknown:
        return None
    return Agreement(leader, votes, stop is not None and votes >= stop * of - _ALMOST)


def by_member(answers: Sequence[Turn], among: Sequence[Turn] = ()) -> dict[str, Any]:
    """Returns answers by who has given them: the member, or ``MEMBER.N`` where one has given several.

    Args:
        answers: Turns that have answered.
        among: All turns of which they are some; only they where not given.
    """
    times = Counter(turn.member for turn in among or answers)
    return {
        turn.member if times[turn.member] == 1 else f"{turn.member}.{turn.number}": turn.output
        for turn in answers
    }


def contradictions(answers: Sequence[Turn], among: Sequence[Turn] = ()) -> list[dict[str, Any]]:
    """Lists where answers contradict each other: where they say different things in the same place.

    Args:
        answers: Turns that have answered.
        among: As of `by_member`.

    Returns:
        For each place an object with ``at``, e.g. ``output.price``, and ``said``, by member as in
        `by_member`.
    """
    said = {who: dict(_leaves(output, "output")) for who, output in by_member(answers, among).items()}
    places = dict.fromkeys(at for leaves in said.values() for at in leaves)
    found = {at: {who: leaves.get(at, NO_WORD) for who, leaves in said.items()} for at in places}
    differ = [{"at": at, "said": words} for at, words in found.items() if _differ(words.values())]
    return differ[:MOST_CONTRADICTIONS]


def _differ(values: Iterable[Any]) -> bool:
    told = {canonical(value) for value in values if value != NO_WORD}
    return len(told) > 1


def _leaves(value: Any, at: str) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{at}.{key}")
    else:
        yield at, value
