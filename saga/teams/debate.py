"""Debate: everybody answers, sees what the others say, and answers again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ..errors import FailureType
from ..spec.teams.debate import Debate
from ..spec.teams.member import key_of
from .comparing import agreement, ballot, by_member, choice_of, contradictions
from .effort.ranking import RANK, rank_call, ranked
from .forms import numbers
from .judging import JUDGE, judge_call, judged
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit, UndoTurns
from .state import TeamState, Turn, TurnState

ANSWER = "answer"

PLEASE = "Answer again. Keep what is right in what was said, and correct what is wrong."


class DebatePlanner:
    """Plans for `Debate`."""

    def __init__(self, terms: Debate) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = [key_of(member) for member in terms.members]

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        move = self._next(state)
        if isinstance(move, GiveAnswer):  # what a ranker has done is a part of how it came about
            return replace(move, keep=move.keep | numbers(state.of(RANK)))
        return move

    def _next(self, state: TeamState) -> Move:
        asked = state.of(ANSWER)
        if not asked:
            return AskMembers([self._call(who, 1, ()) for who in self._members])
        turns = state.of(ANSWER, asked[-1].round)
        answers = [turn for turn in turns if turn.has_answered]
        for turn in state.of(JUDGE):
            return judged(turn, answers, partial(choice_of, self._terms.by))
        return self._round(state, turns, answers)

    def _round(self, state: TeamState, turns: tuple[Turn, ...], answers: list[Turn]) -> Move:
        """Returns what follows in a round, or after it."""
        number = turns[0].round
        # Whom a ranker has let go on, they are the debate now.
        debaters = len(turns) if state.of(RANK) else len(self._members)
        failed = [turn for turn in turns if turn.state is TurnState.FAILED]
        left = len(turns) - len(failed)
        if left < 2 or 2 * left < debaters:
            reasons = "; ".join(f"{turn.member}: {turn.failure.message}" for turn in failed if turn.failure)
            out_of = f"{left} of {debaters} members are left"
            return FailTeam(f"{out_of}, too few for a debate; in round {number} have failed: {reasons}")
        if any(turn.state is TurnState.UNDONE for turn in turns):
            return self._next_round(state, number + 1, answers)
        agreed = self._agreed(number, turns, answers, debaters)
        if agreed is not None:
            return agreed
        if len(answers) < left:
            return AwaitTurn()
        if number < self._terms.rounds:
            superseded = f"everybody answers again, now that the answers of round {number} are known"
            return UndoTurns(numbers(answers), superseded)
        return self._tie(answers)

    def _next_round(self, state: TeamState, number: int, answers: list[Turn]) -> Move:
        """Asks for another round, if need be after a ranker has chosen who goes on."""
        terms, going_on = self._terms, answers
        if terms.ranker is not None and number >= terms.rank_from and len(answers) > terms.keep:
            rankings = state.of(RANK, number)
            if not rankings:
                return AskMembers([rank_call(terms.ranker, answers, terms.keep, number)])
            chosen = ranked(rankings[-1], answers, terms.keep)
            if not isinstance(chosen, list):
                return chosen
            going_on = chosen
        return AskMembers([self._call(turn.member, number, answers, len(going_on)) for turn in going_on])

    def _agreed(
        self, number: int, turns: tuple[Turn, ...], answers: list[Turn], debaters: int
    ) -> GiveAnswer | None:
        """Returns the answer that enough members give, whatever the others of the round would say."""
        unknown = sum(turn.state is TurnState.RUNNING for turn in turns)
        found = agreement(self._terms.by, answers, unknown, debaters, self._terms.stop)
        if found is None or not (number == self._terms.rounds or found.is_enough):
            return None
        of_all = f"{found.votes:g} of {debaters} members"
        more = "are for it, more than for any other answer"
        reason = f"{of_all} agree in round {number}" if found.is_enough else f"{of_all} {more}"
        keep = frozenset({found.leader.number})
        return GiveAnswer(found.leader.output, keep, reason, contradictions(answers))

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

    def _call(self, who: str, number: int, said: list[Turn] | tuple[()], of: int = 0) -> MemberCall:
        shown = [turn for turn in said if self._terms.share == "all" or turn.member != who]
        reason = f"everybody answers in round {number}" + (", and knows what was said before" if said else "")
        if of < len(said):
            reason = f"the best {of} answer in round {number}, and know what was said before"
        return MemberCall(
            who,
            ANSWER,
            number,
            reason=reason,
            say={"answers": by_member(shown), "please": PLEASE} if said else None,
            final=number == self._terms.rounds or self._terms.stop is not None,
            stage=f"{number}/{self._terms.rounds}",
        )
