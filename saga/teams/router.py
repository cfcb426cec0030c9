"""Router: who does the job."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..spec.teams.member import Person, key_of
from ..spec.teams.router import Router
from .comparing import truth_of
from .forms import form, numbers, one_of, unusable
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move
from .state import TeamState, Turn

CLASSIFY, CLASSIFY_BETTER, SECOND, CHOOSE, WORK = "classify", "classify_better", "second", "choose", "work"

_TO_CLASSIFIER = "Say which member the input is for, and how sure you are of that, from 0 to 1."


class _Route(NamedTuple):
    """Who does the job, and why it is theirs."""

    to: str
    reason: str


class _Asked(NamedTuple):
    """One of those who say whom the input is for.

    Attributes:
        purpose: What the turn is called.
        key: Who.
        sure: How sure is sure enough; None for who has to agree with the one before.
    """

    purpose: str
    key: str
    sure: float | None


class RouterPlanner:
    """Plans for `Router`."""

    def __init__(self, terms: Router) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._members = tuple(key_of(member) for member in terms.members)
        asked = [
            (CLASSIFY, terms.classifier, terms.sure),
            (CLASSIFY_BETTER, terms.better, terms.unsure),
            (SECOND, terms.second, None),
        ]
        self._asked = [_Asked(purpose, key_of(who), sure) for purpose, who, sure in asked if who is not None]
        self._form = form(
            to=one_of(self._members),
            confidence={"type": "number", "minimum": 0, "maximum": 1},
            reason={"type": "string"},
        )

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        if state.running:
            return AwaitTurn()
        work = next(iter(state.of(WORK)), None)
        if work is not None:
            return _worked(state, work)
        for rule in self._terms.rules:
            if truth_of(rule.when, {"input": state.input}):
                return self._to(_Route(rule.to, f"the rule {rule.when} is true"))
        for at, asked in enumerate(self._asked):
            turn = next(iter(state.of(asked.purpose)), None)
            if turn is None:
                return AskMembers([self._asking(state, at)])
            route = self._sure(state, at, turn)
            if route is not None:
                return self._to(route)
        return self._by_default(state)

    def _sure(self, state: TeamState, at: int, turn: Turn) -> _Route | None:
        """Returns whom a classifier has named, where that counts; one that has failed is not sure."""
        if unusable(turn, self._form) is not None:
            return None
        to, confidence = turn.output["to"], turn.output["confidence"]
        sure = self._asked[at].sure
        if sure is not None:
            reason = f"{turn.member} is sure of it, with {confidence:g}: {turn.output['reason']}"
            return _Route(to, reason) if confidence >= sure else None
        first = state.of(self._asked[at - 1].purpose)[0]
        if unusable(first, self._form) is not None or first.output["to"] != to:
            return None
        return _Route(to, f"{first.member} and {turn.member} agree")

    def _by_default(self, state: TeamState) -> Move:
        default = self._terms.default
        words = self._words(state)
        if self._terms.fallback is not None:
            return self._to(_Route(self._terms.fallback, f"nobody is sure, and it is the default; {words}"))
        if not isinstance(default, Person):
            return FailTeam(f"nobody is sure whom it is for; {words}")
        chosen = next(iter(state.of(CHOOSE)), None)
        if chosen is None:
            return AskMembers([self._choosing(state, default.name)])
        schema = form(to=one_of(self._members))
        wrong = unusable(chosen, schema)
        if wrong is not None:
            return FailTeam(f"{default.name} has not chosen who does it: {wrong}")
        return self._to(_Route(chosen.output["to"], f"{default.name} has chosen"))

    def _words(self, state: TeamState) -> str:
        """Returns, for people, what was said of whom it is for."""
        if not self._asked:
            return "no rule is true"
        return "; ".join(
            f"{turn.member}: {self._word(turn)}" for turn in state.turns if turn.purpose != CHOOSE
        )

    def _word(self, turn: Turn) -> str:
        wrong = unusable(turn, self._form)
        return wrong if wrong is not None else f"{turn.output['to']}, with {turn.output['confidence']:g}"

    def _to(self, route: _Route) -> Move:
        return AskMembers([MemberCall(route.to, WORK, reason=route.reason, final=True)])

    def _asking(self, state: TeamState, at: int) -> MemberCall:
        asked = self._asked[at]
        reason = f"nobody is sure yet; {self._words(state)}" if at else "no rule says whom it is for"
        return MemberCall(
            asked.key,
            asked.purpose,
            reason=reason,
            say={"please": _TO_CLASSIFIER},
            schema=self._form,
            introduces=self._members,
            stage=f"{at + 1}/{len(self._asked)}",
        )

    def _choosing(self, state: TeamState, person: str) -> MemberCall:
        said: list[Any] = [{"member": turn.member, "said": self._word(turn)} for turn in state.turns]
        return MemberCall(
            person,
            CHOOSE,
            reason=f"nobody is sure; {self._words(state)}",
            say={"classifiers": said},
            schema=form(to=one_of(self._members)),
            introduces=self._members,
        )


def _worked(state: TeamState, work: Turn) -> Move:
    if work.failure is not None:
        return FailTeam(f"{work.member}, whom it was for, has failed: {work.failure.message}")
    return GiveAnswer(work.output, numbers(state.standing), f"{work.member} has done it")
