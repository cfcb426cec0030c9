"""What the expressions of a team come to when it starts: its numbers, and who takes part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from ...errors import ExpressionError
from ...expressions.expression import compile_expression
from ...fault_texts import faults_in
from ...spec.teams.number import Bounds
from ...spec.teams.pattern import DIFFICULTY, RATED, Pattern
from ..comparing import truth_of, value_of


class SettledTeam(NamedTuple):
    """A team whose numbers are known.

    Attributes:
        team: The team, without expressions.
        said: What they have come to, for people, e.g. ``2 of 3 layers``.
    """

    team: Pattern
    said: str


def difficulty_by_rule(team: Pattern, scope: Mapping[str, Any]) -> float | None:
    """Returns the difficulty of a team's job; None where no expression says it.

    Raises:
        ExpressionError: It cannot be evaluated, or is not a number from 0 to 1.
    """
    if team.difficulty is None or team.rater is not None:
        return None
    return _number(DIFFICULTY, str(team.difficulty), RATED, scope)


def settle(team: Pattern, scope: Mapping[str, Any], difficulty: float | None) -> SettledTeam:
    """Evaluates the expressions of a team.

    Args:
        team: The team as it is declared.
        scope: What they may read, but the difficulty.
        difficulty: How difficult its job is; None where the team does not say that.

    Returns:
        The team with what they have come to.

    Raises:
        ExpressionError: One cannot be evaluated, or comes to what is not allowed, or the parameters do not
            go together then. The message names it, and the value.
    """
    known = scope if difficulty is None else {**scope, DIFFICULTY: difficulty}
    changes: dict[str, Any] = {DIFFICULTY: None}
    said = []
    for name, (source, bounds) in team.numbers().items():
        changes[name] = _number(name, source, bounds, known)
        said.append(_of_most(name, changes[name], source, bounds, known))
    if team.sometimes:
        present = [
            at not in team.sometimes or _truth(f"members[{at}].when", team.sometimes[at].when, known)
            for at in range(len(team.everybody))
        ]
        changes |= team.narrowed(present)
        said.append(f"{sum(present)} of {len(present)} members")
    written = {name: getattr(team, name) for name in team.model_fields_set}
    try:
        return SettledTeam(type(team).model_validate({**written, **changes}), ", ".join(said))
    except ValidationError as error:
        raise ExpressionError(f"with {', '.join(said)}: {faults_in(error, team.pattern)}") from None


def _number(name: str, source: str, bounds: Bounds, scope: Mapping[str, Any]) -> float:
    try:
        return bounds.of(source, value_of(source, scope))
    except ExpressionError as error:
        raise ExpressionError(f"{name}: {error}") from None


def _truth(path: str, source: str, scope: Mapping[str, Any]) -> bool:
    try:
        return truth_of(source, scope)
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}") from None


def _of_most(name: str, value: float, source: str, bounds: Bounds, scope: Mapping[str, Any]) -> str:
    """Says what a number has come to, and what it would be for the most difficult job."""
    reads = {path.root for path in compile_expression(source).paths}
    if not bounds.whole or DIFFICULTY not in reads:
        return f"{name} {value:g}"
    try:
        most = bounds.of(source, value_of(source, {**scope, DIFFICULTY: 1}))
    except ExpressionError:
        return f"{name} {value:g}"
    return f"{value:g} of {most:g} {name}"
