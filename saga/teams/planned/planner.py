"""Planned: plans, checks, parts side by side, and another plan that keeps what is the same in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...plans.plan_faults import key_fault, plan_faults
from ...plans.planned_item import PlannedItem
from ...spec.teams.member import key_of
from ...spec.teams.planned import Planned
from ..forms import has_broken_down, numbers, unusable
from ..moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit, UndoTurns
from ..state import TeamState, Turn, TurnState
from .plan_form import CONSENT, VERDICT, Part, objections, parts_of, plan_form

PLAN, CHECK, CONSENT_TO, CONCLUDE = "plan", "check", "consent", "conclude"
_ABOUT_PLANS = (PLAN, CHECK, CONSENT_TO)
PART = "part:"
"""Begins the purpose of the turn that does a part; its id follows."""

_TO_PLANNER = (
    "Split the job into parts. Say of each which member does it, what exactly is to be done, and after which "
    "parts, whose results it is then given. Parts that need nothing of each other run side by side."
)
_TO_NEW_PLANNER = (
    "Make another plan. Leave what is right as it is, to the letter: what is done already and is the same in "
    "the new plan is kept, and everything else that was done is undone."
)
_TO_VALIDATOR = (
    "Check this plan before anything of it is done. Say of each part how sure you are, from 0 to 1, that its "
    "member can do it, going by what is known of the member, and whether it is too large to say. Say also "
    "what the job needs that no part does, and which parts another part does already."
)
_TO_CONCLUDER = "All parts are done. Make the answer of their results."


@dataclass(frozen=True, slots=True)
class _Planned:
    """The plan that counts."""

    turn: Turn
    parts: tuple[Part, ...]


class PlannedPlanner:
    """Plans for `Planned`."""

    def __init__(self, terms: Planned, acting: Collection[str] = ()) -> None:
        """Plans by the team's parameters.

        Args:
            terms: Those.
            acting: Which members may change the world, as the team calls them.
        """
        self._terms = terms
        self._acting = frozenset(acting)
        self._planner = key_of(terms.planner)
        self._members = tuple(key_of(member) for member in terms.members)
        self._validators = tuple(key_of(name) for name in terms.validators)
        self._form = plan_form(self._members, terms.max_steps)

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        plans = state.of(PLAN)
        if not plans:
            return AskMembers([self._planning(state, "the job is to be split")])
        plan = plans[-1]
        if plan.state is TurnState.RUNNING:
            return AwaitTurn()
        concluded = state.of(CONCLUDE)
        if concluded:
            return AwaitTurn() if state.running else self._concluded(state, concluded[-1])
        wrong = self._faults(plan)
        if wrong:
            broken = has_broken_down(plan)
            return FailTeam(f"{plan.member}: {wrong[0]}") if broken else self._again(state, wrong)
        planned = _Planned(plan, parts_of(plan.output))
        return self._before(state, planned) or self._work(state, planned)

    # --- before the work

    def _faults(self, plan: Turn) -> list[str]:
        wrong = unusable(plan, self._form)
        if wrong is not None:
            return [wrong]
        parts = parts_of(plan.output)
        items = [PlannedItem(part.id, at, part, part.after) for at, part in enumerate(parts)]
        return [*filter(None, (key_fault(part.id) for part in parts)), *plan_faults(items)]

    def _before(self, state: TeamState, planned: _Planned) -> Move | None:
        """Returns what comes before a plan is begun; None where it may be."""
        round_ = planned.turn.round
        checks = state.of(CHECK, round_)
        if len(checks) < len(self._validators):
            return AskMembers([self._checking(state, planned, name) for name in self._validators])
        if any(turn.state is TurnState.RUNNING for turn in checks):
            return AwaitTurn()
        for turn in checks:
            wrong = unusable(turn, VERDICT)
            if wrong is not None:
                return FailTeam(f"{turn.member} has not checked plan {round_}: {wrong}")
        refused = list(objections([t.output for t in checks], planned.parts, self._terms.solvable))
        if refused:
            return self._again(state, refused)
        return self._consent(state, planned)

    def _consent(self, state: TeamState, planned: _Planned) -> Move | None:
        acts = any(part.who in self._acting for part in planned.parts)
        if self._terms.approve is None or not acts:
            return None
        asked = state.of(CONSENT_TO, planned.turn.round)
        if not asked:
            return AskMembers([self._asking_consent(state, planned)])
        word = asked[-1]
        if word.state is TurnState.RUNNING:
            return AwaitTurn()
        wrong = unusable(word, CONSENT)
        if wrong is not None:
            return FailTeam(f"{word.member} has not said yes to plan {planned.turn.round}: {wrong}")
        if word.output["approved"]:
            return None
        return self._again(state, [f"{word.member} says no: {word.output.get('note') or 'without a reason'}"])

    # --- the work

    def _work(self, state: TeamState, planned: _Planned) -> Move:
        kept = self._kept(state, planned)
        gone = [turn for turn in _begun(state) if turn.number not in numbers(kept.values())]
        round_ = planned.turn.round
        old = [turn for turn in state.standing if turn.purpose in _ABOUT_PLANS and turn.round < round_]
        if gone or old:
            return UndoTurns(numbers([*gone, *old]), f"plan {round_} has taken the place of another")
        failed = [turn for turn in state.turns if _part_of(turn) and turn.round == round_ and turn.failure]
        if failed:
            if state.running:
                return AwaitTurn()
            return self._again(state, [f"{_part_of(turn)!r} has failed: {_why(turn)}" for turn in failed])
        done = {id_: turn for id_, turn in kept.items() if turn.state is TurnState.ANSWERED}
        ready = [p for p in planned.parts if p.id not in kept and all(name in done for name in p.after)]
        if ready:
            return AskMembers([self._doing(planned, part, done) for part in ready])
        if state.running:
            return AwaitTurn()
        return AskMembers([self._concluding(state, planned, done)])

    def _kept(self, state: TeamState, planned: _Planned) -> dict[str, Turn]:
        """Returns the turns that do, or have done, parts of the plan as they are in it, by the parts' ids."""
        plans = {turn.round: {p.id: p for p in parts_of(turn.output)} for turn in self._usable(state)}
        kept: dict[str, Turn] = {}
        for part in _in_order(planned.parts):
            for turn in _begun(state):
                before = plans[turn.round].get(part.id) if _part_of(turn) == part.id else None
                built_on = {kept[name].number for name in part.after if name in kept}
                if before == part and len(built_on) == len(part.after) and turn.builds_on == built_on:
                    kept[part.id] = turn
        return kept

    def _usable(self, state: TeamState) -> list[Turn]:
        return [turn for turn in state.of(PLAN) if turn.has_answered and not self._faults(turn)]

    # --- calls

    def _again(self, state: TeamState, wrong: Sequence[str]) -> Move:
        plans = len(state.of(PLAN))
        reason = "; ".join(wrong)
        if state.running:
            return AwaitTurn()
        if plans > self._terms.max_replans:
            message = f"plan {plans} was the last: {reason}"
            return ReachLimit(message, self._planner, numbers(state.standing), say=self._told(state))
        return AskMembers([self._planning(state, reason, wrong)])

    def _planning(self, state: TeamState, reason: str, wrong: Sequence[str] = ()) -> MemberCall:
        round_ = len(state.of(PLAN)) + 1
        told = {**self._told(state), "wrong": list(wrong)} if wrong else {}
        return MemberCall(
            self._planner,
            PLAN,
            round=round_,
            reason=reason,
            say={**told, "please": f"{_TO_PLANNER} {_TO_NEW_PLANNER}" if wrong else _TO_PLANNER},
            schema=self._form,
            introduces=self._members,
            stage=f"plan {round_}",
        )

    def _told(self, state: TeamState) -> dict[str, Any]:
        """Returns the last plan, and what was done of the plans so far and stands."""
        plans = [turn for turn in state.of(PLAN) if turn.has_answered]
        done = [{"id": _part_of(turn), "result": turn.output} for turn in _begun(state)]
        return {"plan": plans[-1].output if plans else None, "done": done}

    def _checking(self, state: TeamState, planned: _Planned, name: str) -> MemberCall:
        return MemberCall(
            name,
            CHECK,
            round=planned.turn.round,
            reason=f"plan {planned.turn.round} is to be checked",
            say={"plan": planned.turn.output, "please": _TO_VALIDATOR},
            builds_on=numbers([planned.turn]),
            schema=VERDICT,
            introduces=self._members,
            stage=f"plan {planned.turn.round}",
        )

    def _asking_consent(self, state: TeamState, planned: _Planned) -> MemberCall:
        assert self._terms.approve is not None
        return MemberCall(
            key_of(self._terms.approve),
            CONSENT_TO,
            round=planned.turn.round,
            reason=f"plan {planned.turn.round} changes something",
            say={"plan": planned.turn.output, "done": self._told(state)["done"]},
            builds_on=numbers([planned.turn]),
            schema=CONSENT,
        )

    def _doing(self, planned: _Planned, part: Part, done: Mapping[str, Turn]) -> MemberCall:
        results = {name: done[name].output for name in part.after}
        return MemberCall(
            part.who,
            f"{PART}{part.id}",
            round=planned.turn.round,
            reason=f"does {part.id}",
            say={"part": part.do, **({"results": results} if results else {})},
            builds_on=frozenset(done[name].number for name in part.after),
            stage=part.id,
        )

    def _concluding(self, state: TeamState, planned: _Planned, done: Mapping[str, Turn]) -> MemberCall:
        results = {part.id: done[part.id].output for part in planned.parts}
        return MemberCall(
            self._planner,
            CONCLUDE,
            round=planned.turn.round,
            reason="all parts are done",
            say={"results": results, "please": _TO_CONCLUDER},
            builds_on=numbers(state.standing),
            final=True,
            aggregates=True,
        )

    def _concluded(self, state: TeamState, turn: Turn) -> Move:
        if turn.failure is not None:
            return FailTeam(f"{turn.member} had to make the answer, and has failed: {turn.failure.message}")
        return GiveAnswer(turn.output, numbers(state.standing), f"all parts of plan {turn.round} are done")


def _part_of(turn: Turn) -> str:
    """Returns the id of the part that a turn does; empty where it does none."""
    return turn.purpose.removeprefix(PART) if turn.purpose.startswith(PART) else ""


def _begun(state: TeamState) -> list[Turn]:
    """Returns the turns that do a part, or have done one that stands."""
    return [turn for turn in (*state.running, *state.standing) if _part_of(turn)]


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """Returns parts so that each comes behind those that it is after."""
    found: list[Part] = []
    while len(found) < len(parts):
        known = {part.id for part in found}
        found += [p for p in parts if p.id not in known and known.issuperset(p.after)]
    return found


def _why(turn: Turn) -> str:
    return turn.failure.message if turn.failure is not None else "for no reason that is known"
