"""Who of a team tells whom what: the arrows of its picture."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict

from ...saga.spec.teams.concurrent import Concurrent
from ...saga.spec.teams.debate import Debate
from ...saga.spec.teams.group_chat import ROUND_ROBIN, GroupChat
from ...saga.spec.teams.magentic import Magentic
from ...saga.spec.teams.maker_checker import MakerChecker
from ...saga.spec.teams.member import Person, key_of
from ...saga.spec.teams.mixture import Mixture
from ...saga.spec.teams.pattern import Pattern
from ...saga.spec.teams.planned import Planned
from ...saga.spec.teams.router import Router
from ...saga.spec.teams.second_opinion import SecondOpinion


class Link(BaseModel):
    """One arrow between two who play together.

    Attributes:
        source: Who tells something.
        target: Who is told.
        label: What, or when; it may be empty.
        both: Whether they tell each other.
        maybe: Whether that is done in some cases only.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    target: str
    label: str = ""
    both: bool = False
    maybe: bool = False


def wiring(team: Pattern) -> tuple[Link, ...]:
    """Returns the arrows between the members of a team, by the names that the team gives them."""
    links = _wiring(team, tuple(dict.fromkeys(key_of(member) for member in getattr(team, "members", ()))))
    return tuple(dict.fromkeys(link for link in links if link.source != link.target))


def _wiring(team: Pattern, members: tuple[str, ...]) -> Iterable[Link]:
    match team:
        case Concurrent():
            return [*_all_to(members, team.aggregator), *_all_to(members, team.judge, "no quorum")]
        case Debate():
            ranked = _all_to(members, team.ranker, f"before round {team.rank_from}")
            return [*_among(members), *ranked, *_all_to(members, team.judge, "a tie")]
        case Mixture():
            shared = _among(members) if team.depth > 1 else ()
            return [*shared, *_all_to(members, team.aggregator)]
        case MakerChecker():
            maker, checker = key_of(team.maker), key_of(team.checker)
            issues = Link(source=checker, target=maker, label="issues", maybe=True)
            return [Link(source=maker, target=checker, label="draft"), issues]
        case GroupChat():
            return [*_speakers(team, members), *_all_to(members, team.summary, "the end")]
        case Magentic():
            return [Link(source=key_of(team.manager), target=member, both=True) for member in members]
        case Planned():
            planner = key_of(team.planner)
            checks = [Link(source=planner, target=key_of(name), label="plan") for name in team.validators]
            return [*checks, *(Link(source=planner, target=member, both=True) for member in members)]
        case Router():
            return _routes(team, members)
        case SecondOpinion():
            first, other = key_of(team.first), key_of(team.other)
            unsure = Link(source=first, target=other, label="not sure", maybe=True)
            return [unsure, *_all_to((other,), team.reconcile, "they differ")]
    return ()


def _among(members: Iterable[str]) -> list[Link]:
    return [Link(source=one, target=other, both=True) for one, other in combinations(members, 2)]


def _all_to(members: Iterable[str], target: Any, label: str = "") -> list[Link]:
    """Returns arrows from everybody; those with a label are for the case that it tells."""
    if target is None:
        return []
    return [Link(source=one, target=key_of(target), label=label, maybe=bool(label)) for one in members]


def _speakers(team: GroupChat, members: tuple[str, ...]) -> list[Link]:
    if team.chooser is not None:
        return [Link(source=key_of(team.chooser), target=member, both=True) for member in members]
    if team.speaker == ROUND_ROBIN:
        return [Link(source=one, target=after) for one, after in pairwise((*members, members[0]))]
    return _among(members)


def _routes(team: Router, members: tuple[str, ...]) -> list[Link]:
    asked = [key_of(name) for name in (team.classifier, team.better, team.second) if name is not None]
    found = [Link(source=one, target=after, label="less sure", maybe=True) for one, after in pairwise(asked)]
    found += [Link(source=one, target=member) for one in asked for member in members]
    if team.splitter is not None:
        first = asked[:1] or members
        found += [Link(source=key_of(team.splitter), target=one, label="each request") for one in first]
    if asked and isinstance(team.default, Person):
        found += _all_to(asked[-1:], team.default, "nobody is sure")
    return found
