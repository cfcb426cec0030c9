"""MakerChecker: drafts, and issues that are answered by their ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..spec.teams.maker_checker import MakerChecker
from ..spec.teams.member import key_of
from .forms import TEXT, form, has_broken_down, numbers, unusable
from .moves import (
    OUTPUT,
    AskMembers,
    AwaitTurn,
    FailTeam,
    GiveAnswer,
    MemberCall,
    Move,
    ReachLimit,
    UndoTurns,
)
from .state import TeamState, Turn

DRAFT, CHECK = "draft", "check"
ANSWERS = "answers"

_ISSUE = form(id=TEXT, problem=TEXT)
_ISSUE["properties"] |= {"severity": {"type": ["string", "null"]}}
VERDICT = form(accepted={"type": "boolean"}, issues={"type": "array", "items": _ISSUE})
"""JSON Schema of what a checker says of a draft."""

_TO_MAKER = "Make the next draft. What the last one did is undone. Answer each issue by its id."
_TO_CHECKER = (
    "Check this draft of an answer to the input. It is accepted only where no issue is left; list an earlier "
    "issue again, under its id, where its answer does not settle it."
)


@dataclass
class _Review:
    """How far the drafts have come.

    Attributes:
        draft: The last one.
        issues: What is open, by id; in the order in which it came up.
        answers: What the maker has answered, by id.
    """

    draft: Any = None
    issues: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)

    def take(self, draft: Turn) -> None:
        """Takes a draft, with the answers to the issues that were open."""
        self.draft, answers = _parts(draft)
        said = {id_: text for id_, text in answers.items() if isinstance(text, str) and text.strip()}
        self.answers = {id_: said[id_] for id_ in self.issues if id_ in said}

    def judge(self, check: Turn) -> None:
        """Takes the checker's word on it; what was not answered by its id stays open, whatever that says."""
        unanswered = {id_: issue for id_, issue in self.issues.items() if id_ not in self.answers}
        found = list(check.output["issues"])
        if not check.output["accepted"] and not found and not unanswered:
            problem = "the checker has not accepted the draft, and has not said why"
            found = [{"id": f"draft-{check.round}", "problem": problem}]
        self.issues = unanswered | _by_id(found)

    @property
    def told(self) -> dict[str, Any]:
        """What there is, for the maker of the next draft or a person."""
        return {"draft": self.draft, "issues": list(self.issues.values())}


class MakerCheckerPlanner:
    """Plans for `MakerChecker`."""

    def __init__(self, terms: MakerChecker) -> None:
        """Plans by the team's parameters."""
        self._terms = terms
        self._maker, self._checker = key_of(terms.maker), key_of(terms.checker)

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        if state.running:
            return AwaitTurn()
        if not state.turns:
            return AskMembers([self._drafting(_Review(), 1)])
        last = state.turns[-1]
        if last.purpose == CHECK:
            return self._checked(state, last)
        # A draft without the answers that were asked for is no better than a rejected one.
        if last.failure is not None and (last.round == 1 or has_broken_down(last)):
            return FailTeam(f"{last.member} has made no draft: {last.failure.message}")
        review = _review(state)
        if last.failure is not None:
            return self._again(review, last.round, f"{last.member} has not answered: {last.failure.message}")
        return AskMembers([self._checking(review, last)])

    def _checked(self, state: TeamState, check: Turn) -> Move:
        wrong = unusable(check, VERDICT)
        if wrong is not None:
            return FailTeam(f"{check.member} has not checked draft {check.round}: {wrong}")
        review = _review(state)
        if not review.issues:
            reason = f"{check.member} has accepted draft {check.round}"
            return GiveAnswer(review.draft, numbers(state.standing), reason)
        # Before the next draft, and before anybody decides about this one.
        if state.standing:
            open_ = ", ".join(review.issues)
            return UndoTurns(numbers(state.standing), f"draft {check.round} has open issues: {open_}")
        return self._again(review, check.round, f"draft {check.round} has open issues")

    def _again(self, review: _Review, round_: int, reason: str) -> Move:
        if round_ < self._terms.rounds:
            return AskMembers([self._drafting(review, round_ + 1, reason)])
        open_ = "; ".join(f"{id_}: {issue['problem']}" for id_, issue in review.issues.items())
        message = f"draft {round_} was the last, and is not accepted; what it did is undone; open: {open_}"
        return ReachLimit(message, self._maker, frozenset(), say=review.told)

    def _drafting(self, review: _Review, round_: int, reason: str = "the first draft") -> MemberCall:
        answered = form(**{id_: {**TEXT, "description": i["problem"]} for id_, i in review.issues.items()})
        return MemberCall(
            self._maker,
            DRAFT,
            round=round_,
            reason=reason,
            say={**review.told, "please": _TO_MAKER} if round_ > 1 else None,
            final=True,
            beside={ANSWERS: answered} if round_ > 1 else None,
            stage=f"{round_}/{self._terms.rounds}",
        )

    def _checking(self, review: _Review, draft: Turn) -> MemberCall:
        told: dict[str, Any] = {"draft": review.draft, "please": _TO_CHECKER}
        if review.issues:
            told["issues"] = [
                {**issue, "answer": review.answers.get(id_)} for id_, issue in review.issues.items()
            ]
        return MemberCall(
            self._checker,
            CHECK,
            round=draft.round,
            reason=f"draft {draft.round} is to be checked",
            say=told,
            builds_on=frozenset({draft.number}),
            schema=VERDICT,
            stage=f"{draft.round}/{self._terms.rounds}",
        )


def _review(state: TeamState) -> _Review:
    """Goes through the drafts and what was said of them."""
    review = _Review()
    for turn in state.turns:
        if turn.has_answered and turn.purpose == DRAFT:
            review.take(turn)
        elif turn.has_answered and turn.purpose == CHECK:
            review.judge(turn)
    return review


def _parts(draft: Turn) -> tuple[Any, Mapping[str, Any]]:
    """Returns a draft, and the answers to issues; Python code may leave those out."""
    output = draft.output
    if draft.round > 1 and isinstance(output, Mapping) and output.keys() == {OUTPUT, ANSWERS}:
        answers = output[ANSWERS]
        return output[OUTPUT], answers if isinstance(answers, Mapping) else {}
    return output, {}


def _by_id(issues: list[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Returns issues by their ids; none is lost where a checker gives several the same."""
    found: dict[str, Mapping[str, Any]] = {}
    for issue in issues:
        id_, at = issue["id"], 1
        while id_ in found:
            at += 1
            id_ = f"{issue['id']}-{at}"
        found[id_] = {**issue, "id": id_}
    return found
