"""Concurrent: everybody answers at once, and the answers are combined."""

from __future__ import annotations

from typing import Any

from ..errors import FailureType
from ..spec.teams.concurrent import Concurrent
from ..spec.teams.member import key_of
from .comparing import choice_of, contradictions, number_of
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit
from .state import TeamState, Turn

ANSWER, COMBINE, JUDGE = "answer", "combine", "judge"


class ConcurrentPlanner:
    """Plans for `Concurrent`."""

    def __init__(self, terms: Concurrent) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = [key_of(member) for member in terms.members]

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        combined = next(iter([*state.of(COMBINE), *state.of(JUDGE)]), None)
        if combined is not None:
            return self._combined(state, combined)
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
            if winner is None or not self._is_enough(weight):
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
            return AskMembers([self._combining(terms.aggregator, COMBINE, answers)])
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
            return AskMembers([self._combining(terms.judge, JUDGE, answers)])
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
            return FailTeam(f"{turn.member} had to combine them, and has failed: {turn.failure.message}")
        answers = list(state.answers(ANSWER))
        if turn.purpose == JUDGE:
            return self._judged(answers, turn)
        keep = frozenset(state_turn.number for state_turn in state.standing)
        reason = f"{turn.member} has combined the answers"
        return GiveAnswer(turn.output, keep, reason, contradictions(answers))

    def _judged(self, answers: list[Turn], turn: Turn) -> Move:
        """Returns what the judge has chosen: one of the answers, or one of its own."""
        choice = choice_of(self._terms.by, turn.output)
        like = [a for a in answers if choice_of(self._terms.by, a.output) == choice]
        keep = frozenset({turn.number, *(a.number for a in like[:1])})
        return GiveAnswer(
            turn.output, keep, f"{turn.member} has decided between the answers", contradictions(answers)
        )

    def _asking(self, who: str) -> MemberCall:
        stage = f"{self._members.index(who) + 1}/{len(self._members)}"
        final = self._terms.combine in ("vote", "best")
        return MemberCall(who, ANSWER, reason="everybody is asked", final=final, stage=stage)

    def _combining(self, who: str, purpose: str, answers: list[Turn]) -> MemberCall:
        if purpose == JUDGE:  # whose answer it is must not count
            told: dict[str, Any] = {"answers": [turn.output for turn in answers]}
            return MemberCall(
                key_of(who), JUDGE, reason="no answer has the votes", say=told, final=True, aggregates=True
            )
        told = {turn.member: turn.output for turn in answers}
        return MemberCall(
            key_of(who),
            COMBINE,
            reason="the answers are there",
            say={"answers": told, "contradictions": contradictions(answers)},
            builds_on=frozenset(turn.number for turn in answers),
            final=True,
            aggregates=True,
        )

    def _leader(self, answers: list[Turn]) -> tuple[Turn | None, float]:
        """Returns the answer with the most weight behind it, the earliest of several, and that weight."""
        weights: dict[str, float] = {}
        first: dict[str, Turn] = {}
        for turn in answers:
            choice = choice_of(self._terms.by, turn.output)
            first.setdefault(choice, turn)
            weights[choice] = weights.get(choice, 0) + self._terms.weights.get(turn.member, 1)
        if not weights:
            return None, 0
        leader = max(weights, key=lambda choice: weights[choice])
        return first[leader], weights[leader]

    def _voted(self, answers: list[Turn], winner: Turn, reason: str) -> GiveAnswer:
        return GiveAnswer(winner.output, frozenset({winner.number}), reason, contradictions(answers))

    def _all(self) -> float:
        return sum(self._terms.weights.get(member, 1) for member in self._members)

    def _is_enough(self, weight: float) -> bool:
        """Says whether an answer has the weight it needs: the quorum, or more than half of all."""
        quorum = self._terms.quorum
        return weight > self._all() / 2 if quorum is None else weight >= quorum
