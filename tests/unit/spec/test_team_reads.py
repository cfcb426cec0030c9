"""What the expressions of a team read has to be in the answers, which is known before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from counterstep import Agent, Bundle
from counterstep.bundle.registry import Registry
from counterstep.saga.errors import DefinitionError
from counterstep.teams import Concurrent, Debate, SecondOpinion


class Opinion(BaseModel):
    verdict: str
    confidence: float = 1.0


class Plain(BaseModel):
    verdict: str


def member(name: str, output: Any) -> Agent[Any]:
    return Agent(name=name, description="Says.", instructions="Say.", model=f"m/{name}", output=output)


def registered(pattern: Any, output: Any = None, of_members: Any = Opinion, **terms: Any) -> Registry:
    """Registers a team of two members, or says what is wrong with it."""
    shop = Bundle("shop")
    pair = [shop.add(member(name, of_members)) for name in ("ann", "bob")]
    who = {"first": pair[0], "other": pair[1]} if pattern is SecondOpinion else {"members": pair}
    shop.add(pattern(name="team", description="Has one.", output=output, **who, **terms))
    return Registry([shop])


@pytest.mark.parametrize(
    ("pattern", "terms", "fault"),
    [
        (Debate, {"by": "output.verdit"}, r"by: output\.verdit: the answer of shop\.ann has no 'verdit'"),
        (
            Concurrent,
            {"combine": "best", "score": "output.points * 2"},
            r"score: output\.points: the answer of shop\.ann has no 'points'",
        ),
        (
            SecondOpinion,
            {"of_members": Plain},
            r"confidence: output\.confidence: the answer of shop\.ann has no 'confidence'",
        ),
        (
            SecondOpinion,
            {"output": Plain},
            r"confidence: output\.confidence: the answer of shop\.team has no 'confidence'",
        ),
    ],
)
def test_what_no_answer_has_is_refused(pattern: Any, terms: dict[str, Any], fault: str) -> None:
    with pytest.raises(DefinitionError, match=fault):
        registered(pattern, **terms)


@pytest.mark.parametrize(
    ("pattern", "terms"),
    [
        (Debate, {"by": "output.verdict"}),
        (Debate, {"by": "has(output.doubt) ? output.doubt : ''"}),
        (Debate, {"by": "output.anything", "of_members": None}),
        (SecondOpinion, {}),
        (SecondOpinion, {"output": Opinion, "of_members": Plain}),
    ],
)
def test_what_an_answer_has_or_may_have_is_taken(pattern: Any, terms: dict[str, Any]) -> None:
    assert "shop.team" in registered(pattern, **terms).catalog.agents


def test_whoever_reconciles_need_not_say_how_sure_it_is() -> None:
    shop = Bundle("shop")
    ann, bob = (shop.add(member(name, Opinion)) for name in ("ann", "bob"))
    chair = shop.add(member("chair", Plain))
    shop.add(SecondOpinion(name="team", description="Has one.", first=ann, other=bob, reconcile=chair))
    assert "shop.team" in Registry([shop]).catalog.agents
