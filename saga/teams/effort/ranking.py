"""How a ranker chooses who goes on: it sees all answers at once, and not whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...spec.teams.member import key_of
from ..forms import form, unusable
from ..moves import AwaitTurn, FailTeam, MemberCall
from ..state import Turn, TurnState

RANK: Final = "rank"
"""The purpose of the turn of a ranker."""

PLEASE = (
    "These are answers of several members to the input. Say in `best` by their numbers, counted from 1, "
    "which are the best, the best one first. Whoever gave them goes on; the others do not."
)


def rank_call(who: str, answers: Sequence[Turn], keep: int, round_: int) -> MemberCall:
    """Returns the call of a ranker.

    Args:
        who: Its full name.
        answers: The turns between whose answers it chooses.
        keep: How many it chooses.
        round_: The round before which it does.
    """
    reason = f"chooses who of {len(answers)} goes on in round {round_}"
    told: dict[str, Any] = {"answers": [turn.output for turn in answers], "please": PLEASE}
    return MemberCall(key_of(who), RANK, round_, reason=reason, say=told, schema=_form(len(answers), keep))


def ranked(ranker: Turn, answers: Sequence[Turn], keep: int) -> list[Turn] | AwaitTurn | FailTeam:
    """Returns the turns that a ranker has chosen, in their order, or what follows where it has not.

    Args:
        ranker: Its turn.
        answers: As for `rank_call`.
        keep: As for `rank_call`.
    """
    if ranker.state is TurnState.RUNNING:
        return AwaitTurn()
    wrong = unusable(ranker, _form(len(answers), keep))
    if wrong is not None:
        return FailTeam(f"{ranker.member}, who had to choose who goes on, has failed: {wrong}")
    # Where it names one twice, the places that are left go to the others, in their order.
    named = [int(number) for number in ranker.output["best"]]
    best = list(dict.fromkeys((*named, *range(1, len(answers) + 1))))[:keep]
    return [turn for at, turn in enumerate(answers, 1) if at in best]


def _form(answers: int, keep: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": answers}
    return form(best={"type": "array", "items": number, "minItems": keep, "maxItems": answers})
