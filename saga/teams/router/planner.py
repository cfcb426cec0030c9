"""The planner of Router: who does the job, or each part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ...history_format import ENGINE
from ...spec.teams.intent import Intent
from ...spec.teams.member import Person, key_of
from ...spec.teams.router import Router
from ..comparing import truth_of
from ..forms import form, numbers, one_of, unusable
from ..moves import AskMembers, AwaitTurn, Comparison, Draw, FailTeam, GiveAnswer, MemberCall, Move
from ..state import TeamState, Turn
from .destinations import Destinations, likeness, text_of
from .parts import TO_SPLITTER, RequestPart, ordered, parts_of, split_form

SPLIT, COMPARE, DRAW = "split", "compare", "draw"
CLASSIFY, CLASSIFY_BETTER, SECOND, CHOOSE, WORK = "classify", "classify_better", "second", "choose", "work"

EMBEDDING: Final = "embedding"
"""What a router calls the embedding model."""

_TO_CLASSIFIER = "Say which member the input is for, and how sure you are of that, from 0 to 1."
_TO_INTENTS = "Say which intent the input has, or which member it is for, and how sure you are, from 0 to 1."
_TO_MEMBER = "Do this part of the input, and nothing of the others."
_SCORES = {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 1}


@dataclass(frozen=True, slots=True)
class _Route:
    """Whom a part is for, and why it is theirs.

    Attributes:
        to: An intent or a member.
        stage: What has decided it.
        reason: Why, for people.
        confidence: How sure that is; None where it is certain, or nobody was sure.
    """

    to: str
    stage: str
    reason: str
    confidence: float | None = None


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


class _Word(NamedTuple):
    """What one of those has said, where it can be used."""

    to: str
    confidence: float
    reason: str


class RouterPlanner:
    """Plans for `Router`. The turns about one part of the input have its number as their round."""

    def __init__(
        self, terms: Router, intents: Mapping[str, Sequence[Intent]] | None = None, engine: int = ENGINE
    ) -> None:
        """Plans by the team's parameters.

        Args:
            terms: The parameters.
            intents: What each member takes, by what the team calls it; nothing for who says nothing.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self._terms = terms
        self._to = Destinations([key_of(member) for member in terms.members], intents or {})
        asked = [
            (CLASSIFY, terms.classifier, terms.sure),
            (CLASSIFY_BETTER, terms.better, terms.unsure),
            (SECOND, terms.second, None),
        ]
        self._asked = [_Asked(purpose, key_of(who), sure) for purpose, who, sure in asked if who is not None]
        if terms.embedding is not None and self._to.phrases:  # who takes some may not take part
            self._asked.insert(0, _Asked(COMPARE, EMBEDDING, terms.sure))
        elif engine >= 6 and self._asked and self._asked[0].sure is None:
            # There is nobody to agree with.
            self._asked[0] = self._asked[0]._replace(sure=terms.sure)
        self._form = form(
            to=one_of(self._to.choices),
            confidence={"type": "number", "minimum": 0, "maximum": 1},
            reason={"type": "string"},
        )

    def next(self, state: TeamState) -> Move:
        """Returns the next move; see `Planner`."""
        if state.running:
            return AwaitTurn()
        ruled = self._ruled(state)
        parts = [RequestPart(1)]
        if self._terms.splitter is not None and ruled is None:
            split = state.first(SPLIT)
            if split is None:
                return AskMembers([self._splitting(key_of(self._terms.splitter))])
            parts = parts_of(split, self._terms.parts)
        routes: dict[int, _Route] = {}
        asking: list[MemberCall] = []
        for part in parts:
            found = ruled or self._routed(state, part)
            match found:
                case _Route():
                    routes[part.number] = found
                case MemberCall():
                    asking.append(found)
                case FailTeam():
                    return found
        draws = (self._draw(state, number, route) for number, route in routes.items())
        asking += [draw for draw in draws if draw is not None]
        return AskMembers(asking) if asking else self._work(state, parts, routes)

    # --- whom a part is for

    def _ruled(self, state: TeamState) -> _Route | None:
        for rule in self._terms.rules:
            if rule.intent is not None and rule.intent not in self._to.phrases:
                continue  # nobody who takes it takes part
            if truth_of(rule.when, {"input": state.input}):
                return _Route(rule.to or rule.intent or "", "rule", f"the rule {rule.when} is true")
        return None

    def _routed(self, state: TeamState, part: RequestPart) -> _Route | MemberCall | FailTeam:
        """Returns whom a part is for, or who is asked that next."""
        for at, asked in enumerate(self._asked):
            turn = state.first(asked.purpose, part.number)
            if turn is None:
                return self._asking(state, part, at)
            route = self._sure(state, part, at, turn)
            if route is not None:
                return route
        return self._by_default(state, part)

    def _sure(self, state: TeamState, part: RequestPart, at: int, turn: Turn) -> _Route | None:
        """Returns whom somebody has named, where that counts; one that has failed is not sure."""
        word, asked = self._word(turn), self._asked[at]
        if isinstance(word, str):
            return None
        if asked.sure is not None:
            reason = f"{turn.member} is sure of it, with {word.confidence:g}: {word.reason}"
            route = _Route(word.to, asked.purpose, reason, word.confidence)
            return route if word.confidence >= asked.sure else None
        before = state.of(self._asked[at - 1].purpose, part.number)[0]
        first = self._word(before)
        if isinstance(first, str) or first.to != word.to:
            return None
        return _Route(word.to, asked.purpose, f"{before.member} and {turn.member} agree", word.confidence)

    def _by_default(self, state: TeamState, part: RequestPart) -> _Route | MemberCall | FailTeam:
        default = self._terms.default
        words = self._words(state, part)
        if self._terms.fallback is not None:
            reason = f"nobody is sure, and it is the default; {words}"
            return _Route(self._terms.fallback, "default", reason)
        if not isinstance(default, Person):
            return FailTeam(f"nobody is sure whom {_what(part)} is for; {words}")
        chosen = state.first(CHOOSE, part.number)
        if chosen is None:
            return self._choosing(state, part, default.name)
        wrong = unusable(chosen, form(to=one_of(self._to.choices)))
        if wrong is not None:
            return FailTeam(f"{default.name} has not chosen who does {_what(part)}: {wrong}")
        return _Route(chosen.output["to"], CHOOSE, f"{default.name} has chosen")

    def _words(self, state: TeamState, part: RequestPart) -> str:
        """Returns, for people, what was said of whom a part is for."""
        if not self._asked:
            return "no rule is true"
        return "; ".join(f"{turn.member}: {self._shown(turn)}" for turn in self._said(state, part))

    def _said(self, state: TeamState, part: RequestPart) -> list[Turn]:
        return [turn for asked in self._asked for turn in state.of(asked.purpose, part.number)]

    def _word(self, turn: Turn) -> _Word | str:
        """Returns what was said, or why it cannot be used."""
        if turn.purpose != COMPARE:
            wrong = unusable(turn, self._form)
            said = turn.output
            return wrong if wrong is not None else _Word(said["to"], said["confidence"], said["reason"])
        wrong = unusable(turn, _SCORES)
        if wrong is not None:
            return wrong
        like = likeness(turn.output, self._terms.similar)
        return _Word(like.to, like.confidence, f"a similarity of {like.similarity:.2f}")

    def _shown(self, turn: Turn) -> str:
        word = self._word(turn)
        return word if isinstance(word, str) else f"{word.to}, with {word.confidence:g}"

    # --- who of equals, and in which order

    def _draw(self, state: TeamState, number: int, route: _Route) -> MemberCall | None:
        takers = self._to.takers(route.to)
        if len(takers) < 2 or state.of(DRAW, number):
            return None
        service = Draw(takers, self._terms.ahead)
        return MemberCall(DRAW, DRAW, round=number, reason="several take it", service=service)

    def _drawn(
        self, state: TeamState, part: RequestPart, route: _Route
    ) -> tuple[str, Mapping[str, Any] | None]:
        """Returns who does a part, and how that was drawn; None where there was nobody else."""
        takers = self._to.takers(route.to)
        draw = state.first(DRAW, part.number)
        if draw is None:
            return takers[0], None
        told = draw.output if isinstance(draw.output, Mapping) else {}
        to = told.get("to")
        return (to if to in takers else takers[0]), told

    def _work(self, state: TeamState, parts: Sequence[RequestPart], routes: Mapping[int, _Route]) -> Move:
        """Returns the next part that is to be done, or the answer."""
        who = {part.number: self._drawn(state, part, routes[part.number]) for part in parts}
        names = [frozenset((routes[part.number].to, who[part.number][0])) for part in parts]
        done: list[tuple[RequestPart, Turn]] = []
        for part in ordered(parts, names, self._terms.order):
            work = state.first(WORK, part.number)
            if work is None:
                return AskMembers([self._working(part, routes[part.number], *who[part.number], done)])
            if work.failure is not None:
                return FailTeam(
                    f"{work.member}, whom {_what(part)} was for, has failed: {work.failure.message}"
                )
            done.append((part, work))
        keep = numbers(state.standing)
        if self._terms.splitter is None:
            ((_, work),) = done
            return GiveAnswer(work.output, keep, f"{work.member} has done it")
        answers = [
            {
                "request": part.request or text_of(state.input),
                "to": routes[part.number].to,
                "output": work.output,
            }
            for part, work in done
        ]
        whose = ", ".join(work.member for _, work in done)
        return GiveAnswer(answers, keep, f"all is done, in this order: {whose}")

    # --- who is asked

    def _splitting(self, key: str) -> MemberCall:
        return MemberCall(
            key,
            SPLIT,
            reason="the input may ask for several things",
            say={"please": TO_SPLITTER},
            schema=split_form(self._terms.parts),
        )

    def _asking(self, state: TeamState, part: RequestPart, at: int) -> MemberCall:
        asked = self._asked[at]
        reason = f"nobody is sure yet; {self._words(state, part)}" if at else "no rule says whom it is for"
        stage = f"{at + 1}/{len(self._asked)}"
        if asked.purpose == COMPARE:
            text = part.request or text_of(state.input)
            service = Comparison(self._terms.embedding or "", text, self._to.phrases)
            return MemberCall(
                EMBEDDING, COMPARE, round=part.number, reason=reason, stage=stage, service=service
            )
        return MemberCall(
            asked.key,
            asked.purpose,
            round=part.number,
            reason=reason,
            say=self._told(part, _TO_INTENTS if self._to.phrases else _TO_CLASSIFIER),
            schema=self._form,
            introduces=self._to.plain,
            stage=stage,
        )

    def _choosing(self, state: TeamState, part: RequestPart, person: str) -> MemberCall:
        said: list[Any] = [
            {"member": turn.member, "said": self._shown(turn)} for turn in self._said(state, part)
        ]
        return MemberCall(
            person,
            CHOOSE,
            round=part.number,
            reason=f"nobody is sure; {self._words(state, part)}",
            say={"classifiers": said, **self._told(part)},
            schema=form(to=one_of(self._to.choices)),
            introduces=self._to.plain,
        )

    def _told(self, part: RequestPart, please: str = "") -> dict[str, Any]:
        """Returns what somebody is told who says whom a part is for."""
        told: dict[str, Any] = {"please": please} if please else {}
        if part.request is not None:
            told["part"] = part.request
        if self._to.phrases:
            told["intents"] = {name: list(phrases) for name, phrases in self._to.phrases.items()}
        return told

    def _working(
        self,
        part: RequestPart,
        route: _Route,
        to: str,
        draw: Mapping[str, Any] | None,
        done: Sequence[tuple[RequestPart, Turn]],
    ) -> MemberCall:
        told: dict[str, Any] = {"to": route.to, "stage": route.stage}
        if route.confidence is not None:
            told["confidence"] = route.confidence
        if draw is not None:
            told["draw"] = dict(draw)
        say = None
        if part.request is not None:
            before = [{"request": other.request, "output": turn.output} for other, turn in done]
            say = {"please": _TO_MEMBER, "part": part.request, "done": before}
        equals = "" if draw is None else f"; drawn of {', '.join(self._to.takers(route.to))}"
        return MemberCall(
            to,
            WORK,
            round=part.number,
            reason=f"{route.reason}{equals}",
            say=say,
            builds_on=numbers(turn for _, turn in done),
            final=True,
            route=told,
            drawn=draw is not None,
        )


def _what(part: RequestPart) -> str:
    return "it" if part.request is None else f"the request {part.request[:100]!r}"
