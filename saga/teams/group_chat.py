"""GroupChat: who speaks next, and when all is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..counted import counted
from ..spec.teams.group_chat import GroupChat
from ..spec.teams.member import key_of
from .comparing import truth_of, value_of
from .forms import absent, form, has_broken_down, numbers, one_of, said, unusable
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit
from .state import TeamState, Turn

SPEAK, CHOOSE, SUM_UP = "speak", "choose", "sum_up"

MOST_CHOICES = 2
"""How often somebody may choose who is next: once, and once more where the first choice cannot be used."""

_TO_CHOOSER = "Say who speaks next, or null where all is said; nobody speaks twice in a row."
_TO_SUMMARIZER = "Make the answer of what was said."


class GroupChatPlanner:
    """Plans for `GroupChat`."""

    def __init__(self, terms: GroupChat) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = tuple(key_of(member) for member in terms.members)

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        if state.running:
            return AwaitTurn()
        summary = state.first(SUM_UP)
        if summary is not None:
            return _summed_up(state, summary)
        spoken = state.of(SPEAK)
        if spoken and spoken[-1].failure is not None:
            # The chat goes on without one who has failed; where the next one fails too, it does not get on.
            if len(spoken) > 1 and spoken[-2].failure is not None:
                reasons = "; ".join(f"{a['member']}: {a['reason']}" for a in absent(spoken[-2:]))
                return FailTeam(f"two have failed one after the other: {reasons}")
        elif spoken and self._is_done(state):
            return self._end(state, "the chat is done")
        if self._terms.chooser is not None:
            return self._chosen(state, key_of(self._terms.chooser))
        if self._terms.rule is None:
            return self._go_on(state, self._members[len(spoken) % len(self._members)], "in turn")
        return self._ruled(state, self._terms.rule)

    # --- who is next

    def _ruled(self, state: TeamState, rule: str) -> Move:
        who = value_of(rule, self._scope(state))
        reason = f"the rule {rule} says so"
        if who is None:
            return self._end(state, reason) if said(state.of(SPEAK)) else FailTeam(f"{reason}: nobody speaks")
        if who not in self._free(state):
            return FailTeam(f"the rule {rule} cannot be followed: {self._refusal(state, who)}")
        return self._go_on(state, who, reason)

    def _chosen(self, state: TeamState, chooser: str) -> Move:
        choices = state.of(CHOOSE, len(state.of(SPEAK)) + 1)
        if not choices:
            return AskMembers([self._choosing(state, chooser)])
        last = choices[-1]
        if has_broken_down(last) and last.failure is not None:
            return FailTeam(f"{chooser} has not chosen who is next: {last.failure.message}")
        wrong = self._fault(state, last)
        if wrong is None:
            return self._follow(state, last)
        if len(choices) < MOST_CHOICES:
            return AskMembers([self._choosing(state, chooser, wrong)])
        return FailTeam(f"{chooser} has chosen twice in a way that cannot be used: {wrong}")

    def _follow(self, state: TeamState, choice: Turn) -> Move:
        who, reason = choice.output["next"], choice.output["reason"]
        return self._end(state, reason) if who is None else self._go_on(state, who, reason)

    def _fault(self, state: TeamState, choice: Turn) -> str | None:
        """Returns why a choice cannot be used."""
        if choice.failure is None and isinstance(choice.output, Mapping):
            who = choice.output.get("next")
            if isinstance(who, str) and who not in self._free(state):
                return self._refusal(state, who)
        return unusable(choice, self._choice(state))

    def _refusal(self, state: TeamState, who: Any) -> str:
        free = ", ".join(self._free(state))
        if who in self._members:
            return f"{who} was the last to be asked, and nobody speaks twice in a row; there are {free}"
        return f"there is no member {who!r}; there are {free}"

    def _free(self, state: TeamState) -> tuple[str, ...]:
        """Returns who may be next: everybody but the last one, be it that he has failed."""
        last = {turn.member for turn in state.of(SPEAK)[-1:]}
        return tuple(key for key in self._members if key not in last)

    def _choice(self, state: TeamState) -> dict[str, Any]:
        null = "the chat has ended" if said(state.of(SPEAK)) else ""
        return form(next=one_of(self._free(state), null), reason={"type": "string"})

    # --- moves

    def _go_on(self, state: TeamState, who: str, reason: str) -> Move:
        spoken, most = state.of(SPEAK), self._terms.max_turns
        if len(spoken) < most:
            call = MemberCall(
                who,
                SPEAK,
                round=len(spoken) + 1,
                reason=reason,
                say=self._told(state) if spoken else None,
                builds_on=numbers(state.standing),
                final=self._terms.summary is None,
                stage=f"{len(spoken) + 1}/{most}",
            )
            return AskMembers([call])
        message = f"the chat has not ended within {counted(most, 'turn')}"
        if not said(spoken):
            return FailTeam(f"{message}, and nobody has said anything: {spoken[-1].failure}")
        finisher = self._terms.summary or self._terms.chooser or said(spoken)[-1]["member"]
        return ReachLimit(message, key_of(finisher), numbers(state.standing), say=self._told(state))

    def _choosing(self, state: TeamState, chooser: str, wrong: str = "") -> MemberCall:
        spoken = state.of(SPEAK)
        again = {"your_last_choice": f"cannot be used: {wrong}"} if wrong else {}
        return MemberCall(
            chooser,
            CHOOSE,
            round=len(spoken) + 1,
            reason=f"chooses again: {wrong}" if wrong else "chooses who speaks next",
            say={**self._told(state), **again, "please": _TO_CHOOSER},
            builds_on=numbers(state.standing),
            schema=self._choice(state),
            introduces=self._members,
            stage=f"{min(len(spoken) + 1, self._terms.max_turns)}/{self._terms.max_turns}",
        )

    def _end(self, state: TeamState, reason: str) -> Move:
        spoken = state.of(SPEAK)
        if self._terms.summary is None:
            last = [turn for turn in spoken if turn.has_answered][-1]
            return GiveAnswer(last.output, numbers(state.standing), reason)
        call = MemberCall(
            key_of(self._terms.summary),
            SUM_UP,
            round=len(spoken) + 1,
            reason=f"sums up: {reason}",
            say={**self._told(state), "please": _TO_SUMMARIZER},
            builds_on=numbers(state.standing),
            final=True,
            aggregates=True,
        )
        return AskMembers([call])

    def _told(self, state: TeamState) -> dict[str, Any]:
        """Returns what was said, and who could say nothing."""
        failed = absent(state.of(SPEAK))
        return {"said": said(state.of(SPEAK)), **({"absent": failed} if failed else {})}

    # --- expressions

    def _is_done(self, state: TeamState) -> bool:
        return self._terms.done is not None and truth_of(self._terms.done, self._scope(state))

    def _scope(self, state: TeamState) -> dict[str, Any]:
        turns = said(state.of(SPEAK))
        last = turns[-1] if turns else None
        output = last["output"] if last else None
        return {"input": state.input, "turns": turns, "last": last, "output": output}


def _summed_up(state: TeamState, turn: Turn) -> Move:
    if turn.failure is not None:
        return FailTeam(f"{turn.member} had to sum up, and has failed: {turn.failure.message}")
    return GiveAnswer(turn.output, numbers(state.standing), f"{turn.member} has summed up what was said")
