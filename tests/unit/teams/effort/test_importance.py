"""The Agent Importance Score, and the planner that asks for ratings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.bundle.registry import Registry
from counterstep.saga.spec.teams.debate import Debate
from counterstep.saga.spec.teams.mixture import Mixture
from counterstep.saga.teams.effort.importance import Rater, as_score, importance
from counterstep.saga.teams.effort.peer_rating import RATE, PeerRatingPlanner
from counterstep.saga.teams.moves import GiveAnswer, MemberCall
from counterstep.saga.teams.planners import planner_of
from counterstep.saga.teams.state import Turn
from counterstep.tests.support.teams.play import Game, play

MEMBERS = ("a.one", "a.two", "a.three")
CATALOG = Registry([]).catalog


def test_it_is_passed_back_from_the_answer_as_the_members_have_rated() -> None:
    # Round 2: one and two give the answer, 1/2 each; three does not.
    # Round 1: one has (two said 1 of 1 + 4) 1/2 * 1/5 = 0.1, two has 1/2 * 4/5 (of one, 4 of 4 + 1) = 0.4,
    # three has 1/2 * 1/5 + 1/2 * 4/5 = 0.5. Both rounds add up to 1, and their sum is 2.
    turns = [
        Rater(1, "one", {}),
        Rater(2, "two", {}),
        Rater(3, "three", {}),
        Rater(4, "one", {2: 4, 3: 1}),
        Rater(5, "two", {1: 1, 3: 4}),
        Rater(6, "three", {1: 5, 2: 5}),
    ]
    parts = importance(turns, {4, 5})
    assert parts == pytest.approx({"one": 0.6 / 2, "two": 0.9 / 2, "three": 0.5 / 2})


def test_it_goes_back_over_several_rounds() -> None:
    turns = [
        Rater(1, "one", {}),
        Rater(2, "two", {}),
        Rater(3, "one", {1: 1, 2: 3}),
        Rater(4, "two", {1: 2, 2: 2}),
        Rater(5, "one", {3: 5, 4: 0}),
    ]
    # Turn 5 has 1, turn 3 has 1, turn 4 nothing; of turn 3 turn 1 has 1/4 and turn 2 has 3/4.
    assert importance(turns, {5}) == pytest.approx({"one": 2.25 / 3, "two": 0.75 / 3})


@pytest.mark.parametrize("said", [{1: None, 2: None}, {1: "good", 2: True}, {1: 0, 2: -3}, {1: 7, 2: 99}])
def test_where_ratings_say_nothing_all_have_the_same(said: dict[int, Any]) -> None:
    turns = [Rater(1, "one", {}), Rater(2, "two", {}), Rater(3, "three", said)]
    assert importance(turns, {3}) == pytest.approx({"one": 0.25, "two": 0.25, "three": 0.5})


def test_nobody_has_added_to_an_answer_that_nobody_gave() -> None:
    assert importance([Rater(1, "one", {})], set()) == {}


def test_a_score_of_one_half_is_an_even_part() -> None:
    assert [as_score(1 / n, n) for n in (2, 3, 7)] == [0.5, 0.5, 0.5]
    assert as_score(0, 3) == 0
    assert as_score(0.5, 2) < as_score(0.5, 3) < 1


@given(st.data())
def test_the_parts_of_all_add_up_to_one(data: st.DataObject) -> None:
    ratings = st.one_of(st.integers(-1, 7), st.none())
    turns = [Rater(number, f"m{number}", {}) for number in (1, 2, 3)]
    for round_ in range(1, data.draw(st.integers(1, 4))):
        before = [turn.number for turn in turns if (turn.number - 1) // 3 == round_ - 1]
        for at in (1, 2, 3):
            said = data.draw(st.fixed_dictionaries(dict.fromkeys(before, ratings)))
            turns.append(Rater(3 * round_ + at, f"m{at}", said))
    answer = data.draw(st.sets(st.sampled_from([turn.number for turn in turns[-3:]]), min_size=1))
    parts = importance(turns, answer)
    assert sum(parts.values()) == pytest.approx(1)
    assert all(0 <= part <= 1 for part in parts.values())


# --- asked for with the answers


def rated(output: Any, **ratings: Any) -> dict[str, Any]:
    return {"output": output, "ratings": ratings}


def debated(said: dict[str, list[Any]], **terms: Any) -> Game:
    team = Debate(**{"members": MEMBERS, "importance": True, **terms})
    planner = planner_of(team, CATALOG)
    assert isinstance(planner, PeerRatingPlanner)
    return play(planner, lambda turn, _: said[turn.member][turn.round - 1], most=team.cost().most)


def test_a_debate_asks_for_ratings_from_the_second_round_on_and_gives_the_plain_answer() -> None:
    game = debated(
        {
            "one": ["a", rated("c", two=4, three=1)],
            "two": ["b", rated("c", one=1, three=4)],
            "three": ["c", rated("d", one=5, two=5)],
        }
    )
    assert (game.output, game.kept) == ("c", {4})
    assert [call.beside is None for call in game.calls.values()] == [True] * 3 + [False] * 3
    beside = game.calls[4].beside
    assert beside is not None and beside["ratings"]["required"] == ["two", "three"]
    assert (game.calls[4].say or {})["rate"] == RATE
    assert isinstance(game.end, GiveAnswer)
    assert game.end.importance == pytest.approx({"one": 0.3, "two": 0.45, "three": 0.25})


def test_who_agrees_in_the_first_round_has_all_of_it_in_equal_parts() -> None:
    game = debated({"one": ["a"], "two": ["a"], "three": ["b"]})
    assert isinstance(game.end, GiveAnswer)
    assert game.end.importance == {"one": 0.5, "two": 0.5}  # the third was not waited for


def test_python_code_may_give_its_plain_answer() -> None:
    said = {"one": ["a", "c"], "two": ["b", "c"], "three": ["c", "d"]}
    game = debated(said)
    assert isinstance(game.end, GiveAnswer)
    assert game.output == "c"
    # Both who gave it have heard the two others: in the first round 1/4, 1/4 and 1/2 are theirs.
    assert game.end.importance == pytest.approx({"one": 0.375, "two": 0.375, "three": 0.25})
    everybody = debated(said, share="all")
    assert isinstance(everybody.end, GiveAnswer)
    parts = {"one": 2.5 / 6, "two": 2.5 / 6, "three": 1 / 6}
    assert everybody.end.importance == pytest.approx(parts)


def test_the_aggregator_of_a_mixture_rates_and_has_no_part_itself() -> None:
    def reply(turn: Turn, call: MemberCall) -> Any:
        if turn.purpose == "combine":
            return rated("z", one=4, two=1, three=0)
        return turn.member if turn.round == 1 else rated(turn.member, one=1, two=1, three=2)

    team = Mixture(members=MEMBERS, aggregator="a.editor", importance=True)
    game = play(planner_of(team, CATALOG), reply, most=team.cost().most)
    assert game.output == "z"
    assert isinstance(game.end, GiveAnswer)
    # The last layer: 4/5, 1/5 and 0. The first: 1/4, 1/4 and 1/2 of 1. Together 2.
    parts = {"one": (0.8 + 0.25) / 2, "two": (0.2 + 0.25) / 2, "three": 0.5 / 2}
    assert game.end.importance == pytest.approx(parts)


def test_a_team_that_does_not_ask_for_it_has_none() -> None:
    planner = planner_of(Debate(members=MEMBERS), CATALOG)
    game = play(planner, lambda turn, _: "a", most=6)
    assert isinstance(game.end, GiveAnswer)
    assert game.end.importance == {}
