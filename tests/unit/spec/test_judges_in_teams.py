"""Who judges in a team must not be played by a model of those that it judges."""

from __future__ import annotations

from typing import Any

import pytest

from counterstep import Agent, Bundle, DefinitionError
from counterstep.bundle.registry import Registry
from counterstep.bundle.spec_file import parse_spec
from counterstep.saga.spec.checker import check_spec
from counterstep.teams import Concurrent, Debate, MakerChecker, SecondOpinion


def shop(**models: str | None) -> tuple[Bundle, dict[str, Agent[Any]]]:
    bundle = Bundle("shop")
    agents = {
        name: bundle.add(Agent(name=name, description=name, instructions="x", model=model))
        for name, model in models.items()
    }
    return bundle, agents


@pytest.mark.parametrize(
    ("team", "place"),
    [
        (lambda a: Concurrent(members=[a["a"], a["b"]], combine="vote", judge=a["j"]), "judge"),
        (lambda a: Debate(members=[a["a"], a["b"]], judge=a["j"]), "judge"),
        (lambda a: MakerChecker(maker=a["b"], checker=a["j"]), "checker"),
        (lambda a: SecondOpinion(first=a["a"], other=a["b"], reconcile=a["j"]), "reconcile"),
    ],
)
def test_the_model_of_a_member_is_refused_wherever_somebody_judges(team: Any, place: str) -> None:
    bundle, agents = shop(a="openai/one", b="openai/two", j="openai/two")
    bundle.add(team(agents).model_copy(update={"name": "team", "description": "x"}))
    with pytest.raises(DefinitionError) as caught:
        Registry([bundle])
    told = "shop.j is played by openai/two, as a member is that it judges; it must differ"
    assert str(caught.value) == f"team shop.team: {place}: {told}"


def test_a_model_of_its_own_is_taken() -> None:
    bundle, agents = shop(a="openai/one", b="openai/two", j="openai/three")
    bundle.add(Debate(name="team", description="x", members=[agents["a"], agents["b"]], judge=agents["j"]))
    assert "shop.team" in Registry([bundle]).catalog.agents


def test_the_models_of_a_team_in_the_team_count_and_so_does_the_default() -> None:
    bundle, agents = shop(a="openai/one", b=None, j=None, k="openai/one")
    inner = bundle.add(Concurrent(name="inner", description="x", members=[agents["a"]]))
    bundle.add(Debate(name="outer", description="x", members=[inner, agents["b"]], judge=agents["k"]))
    with pytest.raises(DefinitionError, match=r"shop.k is played by openai/one"):
        Registry([bundle], ["openai/other"])
    bundle, agents = shop(a="openai/one", b=None, j=None)
    team = {"pattern": "debate", "members": ["shop.a", "shop.b"], "judge": "shop.j"}
    spec = parse_spec({"name": "t", "steps": [{"id": "s", "team": team}]})
    (fault,) = check_spec(spec, Registry([bundle], ["openai/default"]).catalog)
    told = "shop.j is played by openai/default, as a member is that it judges; it must differ"
    assert str(fault) == f"steps[0].team.judge: {told}"
