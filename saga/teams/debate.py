"""Debate: everybody answers, sees what the others say, and answers again."""

from __future__ import annotations

from functools import partial

from ..errors import FailureType
from ..spec.teams.debate import Debate
from ..spec.teams.member import key_of
from .comparing import ballot, by_member, choice_of, contradictions
from .judging import JUDGE, judge_call, judged
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit, UndoTurns
from .state import TeamState, Turn, TurnState

ANSWER = "answer"

PLEASE = "Answer again. Keep what is right in what was said, and correct what is wrong."
_ALMOST = 1e-9
"""Parts like 2/3 are not exact."""


class DebatePlanner:
    """Plans for `Debate`."""

    def __init__(self, terms: Debate) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = [key_of(member) for member in terms.members]

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        asked = state.of(ANSWER)
        if not asked:
            return AskMembers([self._call(who, 1, ()) for who in self._members])
        turns = state.of(ANSWER, asked[-1].round)
        answers = [turn for turn in turns if turn.has_answered]
        for turn in state.of(JUDGE):
            return judged(turn, answers, partial(choice_of, self._terms.by))
        return self._round(asked[-1].round, turns, answers)

    def _round(self, number: int, turns: tuple[Turn, ...], answers: list[Turn]) -> Move:
        """Returns what follows in a round, or after it."""
        failed = [turn for turn in turns if turn.state is TurnState.FAILED]
        left = len(turns) - len(failed)
        if left < 2 or 2 * left < len(self._members):
            reasons = "; ".join(f"{turn.member}: {turn.failure.message}" for turn in failed if turn.failure)
            out_of = f"{left} of {len(self._members)} members are left"
            return FailTeam(f"{out_of}, too few for a debate; in round {number} have failed: {reasons}")
        if any(turn.state is TurnState.UNDONE for turn in turns):
            return AskMembers([self._call(turn.member, number + 1, answers) for turn in answers])
        agreed = self._agreed(number, turns, answers)
        if agreed is not None:
            return agreed
        if len(answers) < left:
            return AwaitTurn()
        if number < self._terms.rounds:
            superseded = f"everybody answers again, now that the answers of round {number} are known"
            return UndoTurns(frozenset(turn.number for turn in answers), superseded)
        return self._tie(answers)

    def _agreed(self, number: int, turns: tuple[Turn, ...], answers: list[Turn]) -> GiveAnswer | None:
        """Returns the answer that enough members give, whatever the others of the round would say."""
        ranked = ballot(self._terms.by, answers)
        if not ranked:
            return None
        (leader, votes), second = ranked[0], ranked[1][1] if len(ranked) > 1 else 0
        unknown = sum(turn.state is TurnState.RUNNING for turn in turns)
        is_last = number == self._terms.rounds
        stop = self._terms.stop
        is_enough = stop is not None and votes >= stop * len(self._members) - _ALMOST
        if votes <= second + unknown or not (is_last or is_enough):
            return None
        of_all = f"{votes:g} of {len(self._members)} members"
        more = "are for it, more than for any other answer"
        reason = f"{of_all} agree in round {number}" if is_enough else f"{of_all} {more}"
        return GiveAnswer(leader.output, frozenset({leader.number}), reason, contradictions(answers))

    def _tie(self, answers: list[Turn]) -> Move:
        """Returns what follows where no answer of the last round has more votes than each other."""
        if self._terms.judge is not None:
            return AskMembers(
                [judge_call(self._terms.judge, answers, "no answer has more votes than each other")]
            )
        votes = ballot(self._terms.by, answers)[0][1]
        of_all = f"{votes:g} of {len(self._members)}"
        message = (
            f"the members do not agree: the most votes for one answer are {of_all}, and several have as many"
        )
        told = {"answers": [turn.output for turn in answers]}
        # They are alternatives: none of them is a part of an answer that somebody else gives.
        return ReachLimit(message, answers[0].member, frozenset(), FailureType.NO_AGREEMENT, told)

    def _call(self, who: str, number: int, said: list[Turn] | tuple[()]) -> MemberCall:
        shown = [turn for turn in said if self._terms.share == "all" or turn.member != who]
        return MemberCall(
            who,
            ANSWER,
            number,
            reason=f"everybody answers in round {number}"
            + (", and knows what was said before" if said else ""),
            say={"answers": by_member(shown), "please": PLEASE} if said else None,
            final=number == self._terms.rounds or self._terms.stop is not None,
            stage=f"{number}/{self._terms.rounds}",
        )
