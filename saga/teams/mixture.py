"""Mixture: layers of answers, each made from those of the layer before, and one that sums up."""

from __future__ import annotations

from ..spec.teams.member import key_of
from ..spec.teams.mixture import Mixture
from .comparing import agreement, by_member, contradictions
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, UndoTurns
from .state import TeamState, Turn, TurnState

ANSWER, COMBINE = "answer", "combine"

IMPROVE = "Answer better than any of these answers. Some of it may be wrong; take nothing on trust."
SUM_UP = "Make one answer of these, better than each. Some of it may be wrong; take nothing on trust."
GO_ON = f"{SUM_UP} `so_far` is what you have made of others before; it counts as one of them."


class MixturePlanner:
    """Plans for `Mixture`, and so for Self-MoA and its sequential form.

    Every layer, and the aggregator after the last one, makes new answers of those before: these are
    superseded, and undone before anybody is asked who sees them.
    """

    def __init__(self, terms: Mixture) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = [key_of(member) for member in terms.members]

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        asked = state.of(ANSWER)
        if not asked:
            return AskMembers(self._first_layer())
        layer = asked[-1].round
        turns = state.of(ANSWER, layer)
        answers = [turn for turn in turns if turn.has_answered]
        combined = state.of(COMBINE)
        if combined:
            return self._combined(combined[-1], answers)
        agreed = self._agreed(layer, turns, answers)
        if agreed is not None:
            return agreed
        if state.running:
            return AwaitTurn()
        if not answers:
            reasons = "; ".join(f"{turn.member}: {turn.failure.message}" for turn in turns if turn.failure)
            return FailTeam(f"nobody has answered in layer {layer}: {reasons}")
        if state.standing:
            return _superseded(state.standing, f"layer {layer}")
        if layer < self._terms.depth:
            return AskMembers([self._again(turn.member, layer + 1, answers) for turn in answers])
        return AskMembers([self._summing_up(1, answers, None)])

    def _agreed(self, layer: int, turns: tuple[Turn, ...], answers: list[Turn]) -> GiveAnswer | None:
        """Returns the answer that enough of a layer give, whatever the others would say."""
        terms, everybody = self._terms, len(self._members) * (self._terms.samples or 1)
        if terms.stop is None:
            return None
        unknown = sum(turn.state is TurnState.RUNNING for turn in turns)
        found = agreement(terms.by, answers, unknown, everybody, terms.stop)
        if found is None or not found.is_enough:
            return None
        reason = f"{found.votes:g} of {everybody} answers agree in layer {layer}"
        keep = frozenset({found.leader.number})
        return GiveAnswer(found.leader.output, keep, reason, contradictions(answers))

    def _combined(self, turn: Turn, answers: list[Turn]) -> Move:
        """Returns what follows from the aggregator's last turn."""
        if turn.state is TurnState.RUNNING:
            return AwaitTurn()
        if turn.failure is not None:
            return FailTeam(f"{turn.member}, who had to sum up, has failed: {turn.failure.message}")
        last = self._terms.windows_of(len(answers))
        if turn.round == last:
            reason = f"{turn.member} has summed up {len(answers)} answers"
            return GiveAnswer(turn.output, frozenset({turn.number}), reason, contradictions(answers))
        if turn.state is TurnState.ANSWERED:
            return _superseded((turn,), f"window {turn.round}")
        return AskMembers([self._summing_up(turn.round + 1, answers, turn)])

    def _first_layer(self) -> list[MemberCall]:
        who = self._members * (self._terms.samples or 1)
        of = f"layer 1 of {self._terms.depth}" if self._terms.samples is None else "one of several samples"
        stages = [f"1/{self._terms.depth}"] * len(who)
        if self._terms.samples is not None:
            stages = [f"{at}/{len(who)}" for at in range(1, len(who) + 1)]
        return [
            MemberCall(
                member,
                ANSWER,
                reason=of,
                final=self._terms.stop is not None,
                temperature=self._terms.temperature,
                stage=stage,
            )
            for member, stage in zip(who, stages, strict=True)
        ]

    def _again(self, who: str, layer: int, said: list[Turn]) -> MemberCall:
        return MemberCall(
            who,
            ANSWER,
            layer,
            reason=f"layer {layer} of {self._terms.depth} sees {len(said)} answers of the layer before",
            say={"answers": by_member(said), "please": IMPROVE},
            final=self._terms.stop is not None,
            temperature=self._terms.temperature,
            stage=f"{layer}/{self._terms.depth}",
        )

    def _summing_up(self, window: int, answers: list[Turn], before: Turn | None) -> MemberCall:
        """Returns the aggregator's call for a window; in all but the first, its own answer has a place."""
        size, last = self._terms.window or len(answers), self._terms.windows_of(len(answers))
        start = 0 if before is None else 1 + (size - 1) * (window - 1)
        seen = answers[start : start + size - (before is not None)]
        own = [] if before is None else [before]
        everybody = [*answers, *own]
        told = {"answers": by_member(seen, everybody), "please": SUM_UP if before is None else GO_ON}
        if before is not None:
            told["so_far"] = before.output
        return MemberCall(
            key_of(self._terms.aggregator),
            COMBINE,
            window,
            reason=f"sums up {len(seen)} of {len(answers)} answers",
            say={**told, "contradictions": contradictions([*seen, *own], everybody)},
            final=window == last,
            stage=f"{window}/{last}" if last > 1 else "",
            aggregates=True,
        )


def _superseded(turns: tuple[Turn, ...], what: str) -> UndoTurns:
    reason = f"the answers of {what} are superseded by what is made of them"
    return UndoTurns(frozenset(turn.number for turn in turns), reason)
