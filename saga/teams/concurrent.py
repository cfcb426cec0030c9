"""Concurrent: everybody answers at once, and the answers are combined."""

from __future__ import annotations

from functools import partial

from ..errors import FailureType
from ..spec.teams.concurrent import Concurrent
from ..spec.teams.member import key_of
from .comparing import ballot, by_member, choice_of, contradictions, number_of
from .judging import JUDGE, judge_call, judged
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit
from .state import TeamState, Turn

ANSWER, COMBINE = "answer", "combine"


class ConcurrentPlanner:
    """Plans for `Concurrent`."""

    def __init__(self, terms: Concurrent) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = [key_of(member) for member in terms.members]

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        for turn in state.of(COMBINE):
            return self._combined(state, turn)
        for turn in state.of(JUDGE):
            choice = partial(choice_of, self._terms.by)
            return judged(turn, list(state.answers(ANSWER)), choice)
        decided = self._decided(state)
        if decided is not None:
            return decided
        waiting = self._members[len(state.of(ANSWER)) :]
        room = (self._terms.max_parallel or len(waiting)) - len(state.running)
        if waiting and room > 0:
            return AskMembers([self._asking(who) for who in waiting[:room]])
        if state.running or waiting:
            return AwaitTurn()
        return self._all_ended(state)

    def _decided(self, state: TeamState) -> Move | None:
        """Returns the answer where enough have answered, whatever the others would say."""
        terms = self._terms
        answers = list(state.answers(ANSWER))
        if terms.combine == "vote":
            winner, weight = self._leader(answers)
            if winner is None or not self._terms.is_enough(weight):
                return None
            return self._voted(answers, winner, f"{weight:g} of {self._all():g} votes are for it")
        everybody = len(state.of(ANSWER)) == len(self._members) and not state.running
        enough = None if terms.quorum is None else int(terms.quorum)
        if not (everybody and len(answers) == len(self._members)) and (
            enough is None or len(answers) < enough
        ):
            return None
        answers = answers[:enough]
        keep = frozenset(turn.number for turn in answers)
        if terms.aggregator is not None:
            return AskMembers([self._combining(terms.aggregator, answers)])
        if terms.combine == "best":
            assert terms.score is not None
            scores = {turn.number: number_of(terms.score, turn.output) for turn in answers}
            best = max(answers, key=lambda turn: (scores[turn.number], -turn.number))
            reason = f"the answer of {best.member} has the highest score, {scores[best.number]:g}"
            return GiveAnswer(best.output, frozenset({best.number}), reason, contradictions(answers))
        listed = contradictions(answers)
        output = {"answers": {turn.member: turn.output for turn in answers}, "contradictions": listed}
        return GiveAnswer(output, keep, f"{len(answers)} of {len(self._members)} answers are there", listed)

    def _all_ended(self, state: TeamState) -> Move:
        """Returns what follows where nobody is left to ask, and there is no answer."""
        terms, answers = self._terms, list(state.answers(ANSWER))
        failed = [turn for turn in state.of(ANSWER) if turn.failure is not None]
        reasons = "; ".join(f"{turn.member}: {turn.failure.message}" for turn in failed if turn.failure)
        if terms.combine != "vote" or not answers:
            return FailTeam(f"{len(failed)} of {len(self._members)} members have failed: {reasons}")
        if terms.judge is not None:
            return AskMembers([judge_call(terms.judge, answers, "no answer has the votes")])
        most = self._leader(answers)[1]
        message = f"the most votes for one answer are {most:g} of {self._all():g}" + (
            f"; {reasons}" if failed else ""
        )
        told = {"answers": [turn.output for turn in answers]}
        return ReachLimit(
            f"the members do not agree: {message}",
            answers[0].member,
            keep=frozenset(),  # none of them was chosen
            type=FailureType.NO_AGREEMENT,
            say=told,
        )

    def _combined(self, state: TeamState, turn: Turn) -> Move:
        """Returns the answer of whoever had to combine the others."""
        if turn in state.running:
            return AwaitTurn()
        if turn.failure is not None:
            return FailTeam(
                f"{turn.member}, who had to combine the answers, has failed: {turn.failure.message}"
            )
        answers = [other for other in state.answers(ANSWER) if other.number in turn.builds_on]
        keep = turn.builds_on | {turn.number}  # not those who have answered since then
        return GiveAnswer(
            turn.output, keep, f"{turn.member} has combined the answers", contradictions(answers)
        )

    def _asking(self, who: str) -> MemberCall:
        stage = f"{self._members.index(who) + 1}/{len(self._members)}"
        final = self._terms.combine in ("vote", "best")
        return MemberCall(who, ANSWER, reason="everybody is asked", final=final, stage=stage)

    def _combining(self, who: str, answers: list[Turn]) -> MemberCall:
        return MemberCall(
            key_of(who),
            COMBINE,
            reason="the answers are there",
            say={"answers": by_member(answers), "contradictions": contradictions(answers)},
            builds_on=frozenset(turn.number for turn in answers),
            final=True,
            aggregates=True,
        )

    def _leader(self, answers: list[Turn]) -> tuple[Turn | None, float]:
        """Returns the answer with the most weight behind it, the earliest of several, and that weight."""
        ranked = ballot(self._terms.by, answers, self._terms.weights)
        return ranked[0] if ranked else (None, 0)

    def _voted(self, answers: list[Turn], winner: Turn, reason: str) -> GiveAnswer:
        return GiveAnswer(winner.output, frozenset({winner.number}), reason, contradictions(answers))

    def _all(self) -> float:
        return sum(self._terms.weights.get(member, 1) for member in self._members)
