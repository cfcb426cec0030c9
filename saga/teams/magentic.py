"""Magentic: a plan, who does what next, and a new plan where the team does not get on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..counted import counted, times
from ..spec.teams.magentic import Magentic
from ..spec.teams.member import key_of
from .forms import TEXT, absent, form, has_broken_down, numbers, one_of, said, unusable
from .moves import AskMembers, AwaitTurn, FailTeam, GiveAnswer, MemberCall, Move, ReachLimit, UndoTurns
from .state import TeamState, Turn, TurnState

PLAN, PROGRESS, WORK, CONCLUDE = "plan", "progress", "work", "conclude"

TASK_LEDGER = form(facts=TEXT, plan=TEXT)
"""JSON Schema of what the manager writes down before the work."""

_TO_PLANNER = "Write down the facts that are known or to be found out, and a plan of who does what."
_TO_NEW_PLANNER = (
    "The last plan did not work. Correct the facts by what was learned, say what went wrong, and make "
    "another plan that avoids it."
)
_TO_CONDUCTOR = (
    "Say whether the job is done, whether the last turns made progress, whether the team repeats itself, and "
    "who does what next."
)
_TO_CONCLUDER = "The job is done. Make the answer of what was said."


class MagenticPlanner:
    """Plans for `Magentic`."""

    def __init__(self, terms: Magentic) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._manager = key_of(terms.manager)
        self._members = tuple(key_of(member) for member in terms.members)
        self._progress_ledger = form(
            done={"type": "boolean"},
            progress={"type": "boolean"},
            in_loop={"type": "boolean"},
            next=one_of(self._members, "the job is done"),
            instruction={"type": "string"},
            reason={"type": "string"},
        )

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        if state.running:
            return AwaitTurn()
        if not state.turns:
            return self._plan(state)
        last = state.turns[-1]
        if last.purpose == WORK:  # the manager sees how it went, a failure too
            return self._ask_progress(state)
        if last.purpose == CONCLUDE:
            return self._concluded(state, last)
        wrong = self._fault(last)
        if wrong is not None:
            return self._again(state, last, wrong)
        return self._ask_progress(state) if last.purpose == PLAN else self._conduct(state, last)

    # --- the ledgers

    def _fault(self, turn: Turn) -> str | None:
        """Returns why a ledger cannot be used; None where it can."""
        if turn.purpose == PLAN:
            return unusable(turn, TASK_LEDGER)
        wrong = unusable(turn, self._progress_ledger)
        if wrong is not None or turn.output["done"]:
            return wrong
        if turn.output["next"] is None or not turn.output["instruction"].strip():
            return (
                f"the job is not done, so say who is next, one of {', '.join(self._members)}, and what to do"
            )
        return None

    def _again(self, state: TeamState, last: Turn, wrong: str) -> Move:
        tried = 0
        while tried < len(state.turns) and self._is_such(state.turns[-1 - tried], last.purpose):
            tried += 1
        if has_broken_down(last) or tried >= self._terms.progress_attempts:
            often = f", {tried} times in a row" if tried > 1 else ""
            return FailTeam(f"{last.member} has made no ledger that can be used{often}: {wrong}")
        return self._plan(state, wrong) if last.purpose == PLAN else self._ask_progress(state, wrong)

    def _is_such(self, turn: Turn, purpose: str) -> bool:
        return turn.purpose == purpose and self._fault(turn) is not None

    def _epoch(self, state: TeamState) -> Sequence[Turn]:
        """Returns the plan that counts, and the turns since; nothing where there is no plan yet."""
        plans = self._plans(state)
        return state.turns[plans[-1].number - 1 :] if plans else ()

    def _plans(self, state: TeamState) -> list[Turn]:
        return [turn for turn in state.of(PLAN) if self._fault(turn) is None]

    def _last_word(self, epoch: Sequence[Turn]) -> str:
        """Returns why the last plan was given up."""
        ledgers = [turn for turn in epoch if turn.purpose == PROGRESS and self._fault(turn) is None]
        return str(ledgers[-1].output["reason"])

    def _stalls(self, epoch: Sequence[Turn]) -> int:
        """Counts as AutoGen does: one more where nothing moves or all repeats itself, and else one less."""
        stalls = 0
        for turn in epoch:
            if turn.purpose == PROGRESS and self._fault(turn) is None:
                moves = turn.output["progress"] and not turn.output["in_loop"]
                stalls = max(0, stalls - 1) if moves else stalls + 1
        return stalls

    # --- moves

    def _conduct(self, state: TeamState, ledger: Turn) -> Move:
        """Does what the progress ledger says."""
        terms, word = self._terms, ledger.output
        if word["done"]:
            return AskMembers(
                [self._asking(state, CONCLUDE, _TO_CONCLUDER, f"the job is done: {word['reason']}")]
            )
        taken = len(state.of(WORK))
        if taken >= terms.max_turns:
            turns = counted(terms.max_turns, "turn")
            return self._limit(state, f"the job is not done within {turns} of members")
        epoch = self._epoch(state)
        if self._stalls(epoch) < terms.max_stalls:
            return AskMembers([self._working(state, word, taken + 1)])
        resets = len(self._plans(state)) - 1
        if resets >= terms.max_resets:
            message = f"the team does not get on, and has planned anew {times(resets)}: {word['reason']}"
            return self._limit(state, message)
        since = [turn for turn in epoch[1:] if turn.state is TurnState.ANSWERED]
        if terms.on_reset == "undo" and since:
            return UndoTurns(numbers(since), f"the team plans anew, for it does not get on: {word['reason']}")
        return self._plan(state)

    def _plan(self, state: TeamState, wrong: str = "") -> Move:
        old, reason = self._epoch(state), "before the work"
        told: dict[str, Any] = {}
        if old:
            undone = self._terms.on_reset == "undo"
            effects = "all that was done since the last plan is undone" if undone else "what was done stands"
            told = {**self._ledger(state), "effects": effects}
            reason = f"the team does not get on: {self._last_word(old)}"
        please = _TO_NEW_PLANNER if old else _TO_PLANNER
        return AskMembers([self._asking(state, PLAN, please, wrong or reason, told, wrong)])

    def _ask_progress(self, state: TeamState, wrong: str = "") -> Move:
        reason = wrong or "says whether the job is done, and who is next"
        return AskMembers([self._asking(state, PROGRESS, _TO_CONDUCTOR, reason, wrong=wrong)])

    def _asking(
        self,
        state: TeamState,
        purpose: str,
        please: str,
        reason: str,
        told: dict[str, Any] | None = None,
        wrong: str = "",
    ) -> MemberCall:
        """Returns what the manager is asked."""
        concludes = purpose == CONCLUDE
        schemas = {PLAN: TASK_LEDGER, PROGRESS: self._progress_ledger}
        again = {"your_last_ledger": f"cannot be used: {wrong}"} if wrong else {}
        plans, taken = len(self._plans(state)), len(state.of(WORK))
        stage = f"plan {plans + 1}" if purpose == PLAN else f"{taken}/{self._terms.max_turns}"
        return MemberCall(
            self._manager,
            purpose,
            round=plans + (purpose == PLAN),
            reason=reason,
            say={**(self._ledger(state) if told is None else told), **again, "please": please},
            builds_on=numbers(state.standing),
            final=concludes,
            schema=schemas.get(purpose),
            introduces=() if concludes else self._members,
            stage=stage,
            aggregates=concludes,
        )

    def _working(self, state: TeamState, word: dict[str, Any], number: int) -> MemberCall:
        return MemberCall(
            word["next"],
            WORK,
            round=len(self._plans(state)),
            reason=word["reason"],
            say={**self._ledger(state), "instruction": word["instruction"]},
            builds_on=numbers(state.standing),
            stage=f"{number}/{self._terms.max_turns}",
        )

    def _ledger(self, state: TeamState) -> dict[str, Any]:
        """Returns the facts, the plan, what was said and still counts, and who has failed."""
        epoch = self._epoch(state)
        work = state.of(WORK) if self._terms.on_reset == "keep" else [t for t in epoch if t.purpose == WORK]
        failed = absent(work)
        return {**epoch[0].output, "said": said(work), **({"absent": failed} if failed else {})}

    def _limit(self, state: TeamState, message: str) -> Move:
        return ReachLimit(message, self._manager, numbers(state.standing), say=self._ledger(state))

    def _concluded(self, state: TeamState, turn: Turn) -> Move:
        if turn.failure is not None:
            return FailTeam(f"{turn.member} had to make the answer, and has failed: {turn.failure.message}")
        return GiveAnswer(turn.output, numbers(state.standing), f"{turn.member} has made the answer")
