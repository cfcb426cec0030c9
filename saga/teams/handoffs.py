"""Handoffs: who has the conversation next, and when it has gone round for long enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import FailureType
from ..failure import trim
from ..spec.arguments import canonical
from ..spec.teams.handoffs import Handoffs
from ..spec.teams.member import key_of
from .forms import numbers
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit
from .state import TeamState, Turn

CONVERSE = "converse"

ANSWER, TRANSFER = "answer", "transfer"
"""What a turn has ended with: the output is an object with one of these."""


class HandoffPlanner:
    """Plans for `Agent.handoffs`."""

    def __init__(self, terms: Handoffs) -> None:
        """Plans by the parameters of the agent that begins."""
        self._terms = terms

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        if state.running:
            return AwaitTurn()
        turns = state.of(CONVERSE)
        if not turns:
            first = key_of(self._terms.members[0])
            return AskMembers([MemberCall(first, CONVERSE, reason="begins the conversation", final=True)])
        last = turns[-1]
        if last.failure is not None:
            return FailTeam(last.failure.message, last.failure.type)
        transfer = last.output.get(TRANSFER)
        if transfer is None:
            reason = f"{last.member} has answered"
            return GiveAnswer(last.output[ANSWER], numbers(state.standing), reason)
        return self._limit(state, last, transfer) or self._hand_over(state, last, transfer)

    def _limit(self, state: TeamState, last: Turn, transfer: Mapping[str, Any]) -> Move | None:
        turns, most = state.of(CONVERSE), self._terms.max_handoffs
        type_, message = FailureType.CAP_REACHED, f"the conversation was handed over {most} times already"
        before = [turn for turn in turns[:-1] if _handoff(turn) == _handoff(last)]
        if before:
            arguments = trim(canonical(transfer["arguments"]), 200)
            often = f"turns {before[0].number} and {last.number}"
            message = f"{last.member} hands over to {transfer['to']} once more, with {arguments} ({often})"
            type_ = FailureType.LOOP_DETECTED
        elif len(turns) <= most:
            return None
        say = {"refused": {"handing over to": transfer["to"], "with": transfer["arguments"]}}
        return ReachLimit(message, last.member, numbers(state.standing), type_, say)

    def _hand_over(self, state: TeamState, last: Turn, transfer: Mapping[str, Any]) -> Move:
        count, arguments = len(state.of(CONVERSE)), transfer["arguments"]
        why = arguments.get("reason")
        call = MemberCall(
            transfer["to"],
            CONVERSE,
            round=count + 1,
            reason=f"{last.member} hands over" + (f": {why}" if isinstance(why, str) and why else ""),
            say={"from": last.member, "arguments": arguments},
            builds_on=numbers(state.standing),
            final=True,
            stage=f"{count}/{self._terms.max_handoffs}",
        )
        return AskMembers([call])


def _handoff(turn: Turn) -> tuple[str, str, str]:
    """Returns what tells one handoff from another: from whom, to whom, and with what."""
    transfer = turn.output[TRANSFER]
    return turn.member, transfer["to"], canonical(transfer["arguments"])
