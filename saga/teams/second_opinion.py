"""SecondOpinion: one answers, and another is asked where the first is not sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ExpressionError, FailureType
from ..spec.arguments import canonical
from ..spec.teams.member import key_of
from ..spec.teams.second_opinion import SecondOpinion
from .comparing import choice_of, contradictions, number_of
from .judging import JUDGE, judge_call, judged
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit
from .state import TeamState, Turn

FIRST, OTHER = "first", "other"
CONFIDENCE = "confidence"


class SecondOpinionPlanner:
    """Plans for `SecondOpinion`."""

    def __init__(self, terms: SecondOpinion) -> None:
        """Plans by the team's parameters."""
        self._terms = terms

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        first, other = (state.first(purpose) for purpose in (FIRST, OTHER))
        if first is None:
            return AskMembers([self._call(key_of(self._terms.first), FIRST, "it is asked at first")])
        answers = [turn for turn in (first, other) if turn is not None and turn.has_answered]
        for judge in state.of(JUDGE):
            return judged(judge, answers, self._choice)
        if state.running:
            return AwaitTurn()
        if other is None:
            return self._after_first(first)
        if len(answers) < 2:
            return self._alone(answers, first, other)
        return self._both(first, other)

    def _after_first(self, first: Turn) -> Move:
        """Returns what follows from the first answer, or where there is none."""
        if first.failure is not None:
            reason = f"{first.member} has failed: {first.failure.message}"
        elif self._is_sure(first):
            return GiveAnswer(first.output, frozenset({first.number}), self._how_sure(first))
        else:
            reason = self._how_sure(first)
        return AskMembers([self._call(key_of(self._terms.other), OTHER, reason)])

    def _alone(self, answers: list[Turn], first: Turn, other: Turn) -> Move:
        """Returns what follows where not both have answered: nobody confirms it, so it has to be sure."""
        failed = [
            f"{turn.member} has failed: {turn.failure.message}" for turn in (first, other) if turn.failure
        ]
        if not answers:
            return FailTeam("; ".join(failed))
        (turn,) = answers
        keep = frozenset({turn.number})
        message = f"{self._how_sure(turn)}, and {'; '.join(failed)}"
        if self._is_sure(turn):
            return GiveAnswer(turn.output, keep, message)
        return ReachLimit(message, turn.member, keep, FailureType.TEAM_FAILED, {"answers": [turn.output]})

    def _both(self, first: Turn, other: Turn) -> Move:
        """Returns what follows from two answers."""
        surer = max((first, other), key=lambda turn: (self._confidence(turn) or 0, -turn.number))
        bare = [turn.model_copy(update={"output": _bare(turn.output)}) for turn in (first, other)]
        listed = contradictions(bare)
        if self._choice(first.output) == self._choice(other.output):
            reason = f"both agree; {self._how_sure(surer)}"
            return GiveAnswer(surer.output, frozenset({surer.number}), reason, listed)
        if self._terms.reconcile is not None:
            return AskMembers([judge_call(self._terms.reconcile, (first, other), "both answers differ")])
        reason = f"both differ, and {surer.member} is the surer one; {self._how_sure(surer)}"
        return GiveAnswer(surer.output, frozenset({surer.number}), reason, listed)

    def _call(self, who: str, purpose: str, reason: str) -> MemberCall:
        return MemberCall(who, purpose, reason=reason, final=True)

    def _choice(self, output: Any) -> str:
        """Returns what has to be the same in two answers; the whole answer where it cannot be read."""
        try:
            return choice_of(self._terms.by, output if self._terms.by else _bare(output))
        except ExpressionError:
            return f"unreadable: {canonical(output)}"

    def _confidence(self, turn: Turn) -> float | None:
        """Returns how sure an answer is; None where that cannot be read, or is not from 0 to 1."""
        try:
            sure = number_of(self._terms.confidence, turn.output)
        except ExpressionError:
            return None
        return sure if 0 <= sure <= 1 else None

    def _is_sure(self, turn: Turn) -> bool:
        sure = self._confidence(turn)
        return sure is not None and sure >= self._terms.below

    def _how_sure(self, turn: Turn) -> str:
        sure = self._confidence(turn)
        if sure is None:
            return f"{turn.member} does not say from 0 to 1 how sure it is"
        enough = "that is enough" if self._is_sure(turn) else f"less than {self._terms.below:g}"
        return f"{turn.member} is sure by {sure:g}, {enough}"


def _bare(output: Any) -> Any:
    """Returns an answer without how sure it is."""
    if not isinstance(output, Mapping):
        return output
    return {key: value for key, value in output.items() if key != CONFIDENCE}
