"""Members rate the answers that they are shown, with their own: so it is known who has added how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from ...spec.teams.debate import Debate
from ...spec.teams.mixture import Mixture
from ..comparing import by_member, choice_of
from ..forms import form
from ..mixture import ANSWER, COMBINE
from ..moves import OUTPUT, AskMembers, GiveAnswer, MemberCall, Move, Planner
from ..state import TeamState, Turn
from .importance import Rater, importance

RATINGS: Final = "ratings"

RATE = "Rate each of these answers in `ratings`, from 1, of no use, to 5."

_RATING = {"type": "integer", "minimum": 1, "maximum": 5}


class PeerRatingPlanner:
    """Plans as another planner does, which knows nothing of ratings; members are asked for them besides."""

    def __init__(self, planner: Planner, terms: Debate | Mixture) -> None:
        """Plans as `planner` does, for a team of these parameters."""
        self._planner = planner
        self._terms = terms

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        plain = state.model_copy(update={"turns": tuple(self._plain(turn) for turn in state.turns)})
        move = self._planner.next(plain)
        match move:
            case AskMembers(calls):
                return AskMembers([self._with_ratings(call) for call in calls])
            case GiveAnswer():
                return replace(move, importance=self._importance(state, plain, move.output))
            case _:
                return move

    def _with_ratings(self, call: MemberCall) -> MemberCall:
        answers = (call.say or {}).get("answers")
        if call.purpose not in (ANSWER, COMBINE) or not isinstance(answers, Mapping) or not answers:
            return call
        said = {**(call.say or {}), "rate": RATE}
        return replace(call, say=said, beside={RATINGS: form(**{name: _RATING for name in answers})})

    def _plain(self, turn: Turn) -> Turn:
        """Returns a turn with its answer alone; Python code may give no ratings."""
        output = turn.output
        if _rates(turn) and isinstance(output, Mapping) and output.keys() == {OUTPUT, RATINGS}:
            return turn.model_copy(update={"output": output[OUTPUT]})
        return turn

    def _importance(self, state: TeamState, plain: TeamState, output: Any) -> dict[str, float]:
        """Returns the part of each member in the answer; nothing where it is nobody's."""
        turns = [turn for turn in plain.turns if turn.has_answered and turn.purpose in (ANSWER, COMBINE)]
        last = [turn for turn in turns if turn.purpose == turns[-1].purpose and turn.round == turns[-1].round]
        choice = choice_of(self._terms.by, output)
        chosen = {turn.number for turn in last if choice_of(self._terms.by, turn.output) == choice}
        said = {turn.number: turn.output for turn in state.turns}
        raters = [
            Rater(turn.number, turn.member, dict(self._ratings(turn, said[turn.number], turns)))
            for turn in turns
        ]
        members = dict.fromkeys(turn.member for turn in turns if turn.purpose == ANSWER)
        parts = importance(raters, chosen)
        whole = sum(parts.get(member, 0.0) for member in members)
        return {member: parts[member] / whole for member in members} if whole else {}

    def _ratings(self, turn: Turn, output: Any, turns: list[Turn]) -> Iterator[tuple[int, Any]]:
        """Yields the turns whose answers a turn was shown, each with how it has rated it."""
        if not _rates(turn):
            return
        before = [one for one in turns if one.purpose == ANSWER and one.number < turn.number]
        shown = [one for one in before if one.round == before[-1].round]
        if turn.purpose == ANSWER:
            shown = [one for one in before if one.round == turn.round - 1 and self._shows(turn, one)]
        ratings = output.get(RATINGS) if isinstance(output, Mapping) else None
        for name, one in zip(by_member(shown), shown, strict=True):
            yield one.number, ratings.get(name) if isinstance(ratings, Mapping) else None

    def _shows(self, turn: Turn, other: Turn) -> bool:
        return isinstance(self._terms, Mixture) or self._terms.share == "all" or other.member != turn.member


def _rates(turn: Turn) -> bool:
    """Says whether a turn was shown answers."""
    return turn.purpose == COMBINE or (turn.purpose == ANSWER and turn.round > 1)
