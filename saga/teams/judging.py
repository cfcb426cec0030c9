"""How a judge decides between answers: whoever gave them must not count, so their authors are not told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..spec.teams.member import key_of
from .comparing import contradictions
from .moves import AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move
from .state import Turn, TurnState

JUDGE = "judge"
"""The purpose of the turn of a judge."""


def judge_call(who: str, answers: Sequence[Turn], reason: str) -> MemberCall:
    """Returns the call of a judge.

    Args:
        who: The full name of the judge.
        answers: The turns between whose answers it decides.
        reason: Why a judge has to decide.
    """
    told: dict[str, Any] = {"answers": [turn.output for turn in answers]}
    return MemberCall(key_of(who), JUDGE, reason=reason, say=told, final=True, aggregates=True)


def judged(judge: Turn, answers: Sequence[Turn], choice: Callable[[Any], str]) -> Move:
    """Returns what follows from the turn of a judge, whose answer is one of those, or one of its own.

    Args:
        judge: Its turn.
        answers: The turns between whose answers it decides.
        choice: Says by what an answer is the same as another.

    Raises:
        ExpressionError: An answer cannot be compared.
    """
    if judge.state is TurnState.RUNNING:
        return AwaitTurn()
    if judge.failure is not None:
        return FailTeam(
            f"{judge.member}, who had to decide between the answers, has failed: {judge.failure.message}"
        )
    chosen = choice(judge.output)
    like = next((turn.number for turn in answers if choice(turn.output) == chosen), judge.number)
    reason = f"{judge.member} has decided between the answers"
    return GiveAnswer(judge.output, frozenset({judge.number, like}), reason, contradictions(answers))
