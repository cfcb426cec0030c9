"""What the expressions of a team come to when it starts."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from counterstep.saga.errors import ExpressionError
from counterstep.saga.spec.teams.concurrent import Concurrent
from counterstep.saga.spec.teams.debate import Debate
from counterstep.saga.spec.teams.group_chat import GroupChat
from counterstep.saga.spec.teams.maker_checker import MakerChecker
from counterstep.saga.spec.teams.mixture import Mixture
from counterstep.saga.spec.teams.pattern import Pattern
from counterstep.saga.teams.effort.settling import difficulty_by_rule, settle

THREE = ("a.one", "a.two", "a.three")
SOME = ("a.one", "a.two", {"agent": "a.three", "when": "difficulty > 0.5"})


def mixture(**terms: Any) -> Mixture:
    return Mixture(**{"members": THREE, "aggregator": "a.editor", "difficulty": "input.hard", **terms})


def settled(team: Pattern, **scope: Any) -> tuple[Any, str]:
    """Settles a team, by its own rule."""
    return settle(team, scope, difficulty_by_rule(team, scope))


@pytest.mark.parametrize(
    ("difficulty", "layers"), [(0.1, 1), (1 / 3, 1), (0.34, 2), (0.6, 2), (2 / 3, 2), (0.67, 3), (1, 3)]
)
def test_the_layers_are_the_difficulty_times_the_most_rounded_up(difficulty: float, layers: int) -> None:
    team, said = settled(mixture(layers="ceil(difficulty * 3)"), input={"hard": difficulty})
    assert (team.layers, said) == (layers, f"{layers} of 3 layers")
    assert team.is_settled and team.members == THREE


def test_what_it_comes_to_is_told_for_each_parameter() -> None:
    terms = {"layers": "ceil(difficulty * 3)", "temperature": "difficulty / 2", "members": SOME}
    team, said = settled(mixture(**terms), input={"hard": 0.5})
    assert said == "2 of 3 layers, temperature 0.25, 2 of 3 members"
    assert (team.layers, team.temperature, team.members) == (2, 0.25, ("a.one", "a.two"))


def test_a_number_may_do_without_a_difficulty() -> None:
    team = GroupChat(members=THREE, done="true", max_turns="2 * task.people")
    assert settled(team, task={"people": 4}, input={})[0].max_turns == 8
    maker = MakerChecker(maker="a.one", checker="a.two", rounds="input.careful ? 5 : 1")
    assert settled(maker, input={"careful": True})[0].rounds == 5


def test_who_does_not_take_part_has_no_weight_either() -> None:
    team = Concurrent(members=SOME, combine="vote", weights={"one": 2, "three": 5}, difficulty="0.2")
    assert settled(team)[0].weights == {"one": 2}


@pytest.mark.parametrize(
    ("team", "hard", "fault"),
    [
        (
            mixture(layers="ceil(difficulty * 9)"),
            0.9,
            "layers: 'ceil(difficulty * 9)' comes to 9; it has to be a ",
        ),
        (mixture(layers="ceil(difficulty * 3)"), 0, "comes to 0; it has to be a whole number from 1 to 5"),
        (mixture(layers="difficulty * 3"), 0.5, "comes to 1.5; it has to be a whole number from 1 to 5"),
        (mixture(layers="difficulty > 0"), 0.5, "comes to True; it has to be a whole number"),
        (
            mixture(layers="ceil(difficulty)"),
            1.01,
            "difficulty: 'input.hard' comes to 1.01; it has to be a number from 0 to 1",
        ),
        (mixture(layers="ceil(difficulty)"), "much", "comes to 'much'; it has to be a number from 0 to 1"),
        (mixture(layers="ceil(difficulty)"), None, "difficulty: input.hard is null"),
        (mixture(layers="ceil(difficulty * input.most)"), 0.5, "layers: input.most is missing"),
        (
            mixture(members=[*SOME, {"agent": "a.four", "when": "difficulty"}]),
            0.5,
            "members[3].when: 'difficulty' must be true or false",
        ),
        (
            Debate(members=[THREE[0], SOME[2]], difficulty="input.hard"),
            0.5,
            "with 1 of 2 members: debate: Value error, members: a debate has two",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_value(team: Pattern, hard: Any, fault: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        settled(team, input={"hard": hard})
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        ({"layers": "ceil(9.5)"}, "'ceil(9.5)' comes to 10; it has to be a whole number from 1 to 5"),
        ({"layers": 9}, "less than or equal to 5"),
        ({"layers": "ceil("}, "it ends too early"),
        ({"layers": "ceil(dificulty)"}, "there is no 'dificulty' to read; did you mean 'difficulty'?"),
        ({"layers": "output.n"}, "layers: output.n cannot be read here"),
        (
            {"difficulty": 1.5, "layers": "ceil(difficulty)"},
            "'1.5' comes to 1.5; it has to be a number from 0 to 1",
        ),
        ({"difficulty": "difficulty", "layers": "ceil(difficulty)"}, "a difficulty cannot read itself"),
        ({"difficulty": None, "layers": "ceil(difficulty)"}, "layers: difficulty cannot be read"),
        ({}, "difficulty: nothing in the team reads it"),
        ({"members": ["a.one", {"agent": "a.two"}]}, "members.1.MemberIf.when"),
    ],
)
def test_what_is_wrong_in_writing_is_refused_before_anything_runs(terms: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as caught:
        mixture(**terms)
    assert fault in str(caught.value)


def test_a_constant_is_a_number_from_the_beginning() -> None:
    team = Debate(members=THREE, stop="2/3")
    assert team.stop == 2 / 3
    assert team.is_settled
    assert settled(mixture(layers="2 + 1", temperature="difficulty"), input={"hard": 0})[1] == "temperature 0"


def test_the_cost_is_told_for_whatever_it_comes_to() -> None:
    team = mixture(layers="ceil(difficulty * 3)", members=SOME)
    assert team.turns()[:2] == (2 * 1 + 1, 3 * 5 + 1)
    rated = mixture(layers="ceil(difficulty * 3)", difficulty="a.rater")
    assert rated.turns() == (3 + 1 + 1, 15 + 1 + 1, "members * layers + 1 + 1 for the difficulty")
    assert mixture(layers="2 + 1", difficulty=None).turns() == mixture(layers=3, difficulty=None).cost()


@pytest.mark.parametrize(
    "written", ["input.hard", "task.hard", "0.5", "steps.first.output.n", "${{ input.hard }}"]
)
def test_a_difficulty_that_looks_like_a_name_is_an_expression(written: str) -> None:
    assert mixture(difficulty=written, layers="ceil(difficulty)").rater is None
    assert mixture(difficulty="a.rater", layers="ceil(difficulty)").rater == "a.rater"
