"""The planner of Mixture, of Self-MoA and of its sequential form, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.spec.teams.mixture import Mixture
from counterstep.saga.teams.mixture import GO_ON, IMPROVE, SUM_UP, MixturePlanner
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, MemberCall
from counterstep.saga.teams.state import Turn
from counterstep.tests.support.teams.play import Game, Reply, failure, play, stands_for_the_answer

MEMBERS = ("a.one", "a.two", "a.three")


def named(turn: Turn, call: MemberCall) -> Any:
    """Answers with who it is, and in which round."""
    return f"{turn.member}{turn.round}"


def played(reply: Reply = named, **terms: Any) -> Game:
    team = Mixture(**{"members": MEMBERS, "aggregator": "a.editor", **terms})
    return play(MixturePlanner(team), reply, most=team.cost().most)


def sampled(samples: int, window: int | None = None, reply: Reply | None = None) -> Game:
    """Plays Self-MoA; the answers are the numbers of the turns."""
    return played(reply or (lambda turn, _: turn.number), members=["a.one"], samples=samples, window=window)


def test_every_layer_sees_all_answers_of_the_one_before_and_the_aggregator_those_of_the_last() -> None:
    game = played()
    assert game.asked == ["one", "two", "three"] * 2 + ["editor"]
    before = {"one": "one1", "two": "two1", "three": "three1"}
    assert game.calls[1].say is None
    assert [game.calls[at].say for at in (4, 5, 6)] == [{"answers": before, "please": IMPROVE}] * 3
    last = {"one": "one2", "two": "two2", "three": "three2"}
    assert game.calls[7].say == {
        "answers": last,
        "please": SUM_UP,
        "contradictions": [{"at": "output", "said": last}],
    }
    assert game.output == "editor1"


def test_a_layer_is_undone_before_the_next_and_the_last_before_the_aggregator() -> None:
    game = played()
    assert sorted(game.undone[:3]) == [1, 2, 3]
    assert sorted(game.undone[3:]) == [4, 5, 6]
    assert game.kept == {7}
    assert all(call.builds_on == frozenset() for call in game.calls.values())


def test_only_members_are_sampled_at_the_temperature_of_the_team() -> None:
    game = played(temperature=0.9)
    assert [call.temperature for call in game.calls.values()] == [0.9] * 6 + [None]
    assert [call.final for call in game.calls.values()] == [False] * 6 + [True]
    assert [call.aggregates for call in game.calls.values()] == [False] * 6 + [True]
    assert [call.stage for call in game.calls.values()] == ["1/2"] * 3 + ["2/2"] * 3 + [""]


def test_who_has_failed_is_left_out_from_then_on() -> None:
    game = played(lambda turn, call: failure() if turn.member == "two" else named(turn, call))
    assert game.asked == ["one", "two", "three", "one", "three", "editor"]
    said = game.calls[6].say
    assert said is not None
    assert said["answers"] == {"one": "one2", "three": "three2"}
    assert game.kept == {6}


def test_nobody_who_answers_fails_it() -> None:
    game = played(lambda turn, _: failure("no stock"), members=["a.one", "a.two"])
    assert game.end == FailTeam("nobody has answered in layer 1: one: no stock; two: no stock")


def test_an_aggregator_who_fails_fails_it() -> None:
    end = played(lambda turn, call: failure("lost") if turn.member == "editor" else 1, layers=1).end
    assert end == FailTeam("editor, who had to sum up, has failed: lost")


def test_samples_of_one_member_are_told_apart_by_their_turns() -> None:
    game = sampled(3)
    assert game.asked == ["one"] * 3 + ["editor"]
    said = game.calls[4].say
    assert said is not None
    assert said["answers"] == {"one.1": 1, "one.2": 2, "one.3": 3}
    assert [call.stage for call in game.calls.values()] == ["1/3", "2/3", "3/3", ""]
    assert game.busiest == 3


def test_the_member_may_be_its_own_aggregator() -> None:
    game = played(lambda turn, _: turn.number, members=["a.one"], aggregator="a.one", samples=4, window=3)
    assert game.asked == ["one"] * 6
    assert [game.calls[at].temperature for at in (4, 5)] == [0.7, None]
    assert (game.output, game.kept) == (6, {6})


def test_in_windows_the_last_answer_of_the_aggregator_takes_one_place() -> None:
    game = sampled(6, window=3)
    told = [game.calls[at].say or {} for at in (7, 8, 9)]
    assert [say["answers"] for say in told] == [
        {"one.1": 1, "one.2": 2, "one.3": 3},
        {"one.4": 4, "one.5": 5},
        {"one.6": 6},
    ]
    assert [say.get("so_far") for say in told] == [None, 7, 8]
    assert [say["please"] for say in told] == [SUM_UP, GO_ON, GO_ON]
    assert told[1]["contradictions"] == [{"at": "output", "said": {"one.4": 4, "one.5": 5, "editor": 7}}]
    assert [game.calls[at].final for at in (7, 8, 9)] == [False, False, True]
    assert [game.calls[at].stage for at in (7, 8, 9)] == ["1/3", "2/3", "3/3"]


def test_an_answer_of_a_window_is_undone_before_the_next() -> None:
    game = sampled(6, window=3)
    assert game.undone[-2:] == [7, 8]
    assert game.kept == {9}


def test_samples_that_have_failed_make_fewer_windows() -> None:
    game = sampled(6, window=3, reply=lambda turn, _: failure() if turn.number < 4 else turn.number)
    assert game.asked == ["one"] * 6 + ["editor"]


@pytest.mark.parametrize(
    ("terms", "turns", "formula"),
    [
        ({}, 7, "members * layers + 1"),
        ({"layers": 1}, 4, "members * layers + 1"),
        ({"layers": 5, "window": 2}, 17, "members * layers + windows"),
        ({"members": ["a.one"], "samples": 6}, 7, "samples + 1"),
        ({"members": ["a.one"], "samples": 6, "window": 6}, 7, "samples + 1"),
        ({"members": ["a.one"], "samples": 7, "window": 6}, 9, "samples + windows"),
        ({"members": ["a.one"], "samples": 30, "window": 6}, 36, "samples + windows"),
        ({"members": ["a.one"], "samples": 50, "window": 2}, 99, "samples + windows"),
    ],
)
def test_the_measured_turns_are_those_of_the_formula(terms: dict[str, Any], turns: int, formula: str) -> None:
    cost = Mixture(**{"members": MEMBERS, "aggregator": "a.editor", **terms}).cost()
    assert (cost.least, cost.most, cost.formula) == (turns, turns, formula)
    assert len(played(**terms).asked) == turns


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    self_moa = data.draw(st.booleans())
    size: dict[str, Any] = (
        {"samples": data.draw(st.integers(2, 8))} if self_moa else {"layers": data.draw(st.integers(1, 3))}
    )
    team = Mixture(
        members=["a.m"] if self_moa else [f"a.m{at}" for at in range(data.draw(st.integers(2, 4)))],
        aggregator=data.draw(st.sampled_from(["a.editor", "a.m" if self_moa else "a.m0"])),
        window=data.draw(st.sampled_from([None, 2, 3])),
        **size,
    )
    replies = st.one_of(st.integers(0, 2), st.integers(0, 2), st.builds(failure))
    game = play(
        MixturePlanner(team),
        lambda turn, call: data.draw(replies),
        most=team.cost().most,
        pick=lambda running: data.draw(st.integers(0, running - 1)),
        at_once=lambda running: data.draw(st.integers(1, running)),
    )
    stands_for_the_answer(game)
    summing_up = [game.calls[turn.number].say or {} for turn in game.state.of("combine")]
    last = max((turn.round for turn in game.state.of("answer")), default=0)
    if isinstance(game.end, GiveAnswer):  # each answer of the last layer was seen once
        seen = [who for say in summing_up for who in say["answers"]]
        assert len(seen) == len(list(game.state.answers("answer", last)))
    if team.window is not None:
        assert all(len(say["answers"]) + ("so_far" in say) <= team.window for say in summing_up)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"members": ["a.one"]}, "a mixture has two members or more"),
        ({"members": ["a.one", "a.one"]}, r"members\[1\]: 'one' is there already"),
        ({"samples": 6}, "Self-MoA samples one member, and there are 3"),
        ({"members": ["a.one"], "samples": 6, "layers": 2}, "Self-MoA has one layer of samples"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(**{"members": MEMBERS, "aggregator": "a.editor", **terms})


def test_where_enough_of_a_layer_agree_nobody_sums_up() -> None:
    game = played(
        lambda turn, _: "x" if turn.round == 2 and turn.member != "three" else named(turn, _), stop="2/3"
    )
    assert game.asked == ["one", "two", "three"] * 2
    assert (game.output, game.kept) == ("x", {4})
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason == "2 of 3 answers agree in layer 2"
    assert all(call.final for call in game.calls.values())


def test_what_a_layer_agrees_on_is_an_expression_and_samples_may_agree() -> None:
    def reply(turn: Turn, _: MemberCall) -> Any:
        return {"price": 7 if turn.number < 4 else turn.number, "why": turn.number}

    game = played(reply, members=["a.one"], samples=5, stop=0.6, by="output.price")
    assert game.output == {"price": 7, "why": 1}
    assert game.asked == ["one"] * 5
    assert played(reply, members=["a.one"], samples=5, stop=0.8, by="output.price").asked[-1] == "editor"


@pytest.mark.parametrize(
    ("terms", "fault"),
    [
        ({"by": "output.x"}, "by: it is for stop"),
        ({"importance": True, "window": 2}, "importance: with a window"),
    ],
)
def test_what_stops_nothing_is_refused(terms: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        played(**terms)
