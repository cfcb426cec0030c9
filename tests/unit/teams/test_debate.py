"""The planner of Debate, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.spec.catalog import Catalog
from counterstep.saga.spec.teams.debate import Debate
from counterstep.saga.teams.debate import PLEASE, DebatePlanner
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, MemberCall, ReachLimit
from counterstep.saga.teams.planners import planner_of
from counterstep.saga.teams.state import Turn
from counterstep.tests.support.teams.play import Game, failure, play, stands_for_the_answer

MEMBERS = ("a.one", "a.two", "a.three")


def played(said: Mapping[str, Sequence[Any]], *, pick: Any = lambda _: 0, **terms: Any) -> Game:
    """Plays a debate in which each says something in each round; the judge in its only turn."""
    team = Debate(**{"members": MEMBERS, **terms})
    return play(
        DebatePlanner(team),
        lambda turn, _: said[turn.member][turn.round - 1],
        most=team.cost().most,
        pick=pick,
    )


def test_agreement_in_the_first_round_ends_it() -> None:
    game = played({"one": ["a"], "two": ["a"], "three": ["b"]})
    assert (game.output, game.kept) == ("a", {1})
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason == "2 of 3 members agree in round 1"
    assert game.undone == [2, 3]


def test_nobody_is_waited_for_who_cannot_change_the_outcome() -> None:
    ended: list[int] = []

    def reply(turn: Turn, call: MemberCall) -> str:
        ended.append(turn.number)
        return "a"

    team = Debate(members=MEMBERS)
    assert play(DebatePlanner(team), reply, most=team.cost().most).output == "a"
    assert ended == [1, 2]


def test_a_round_is_undone_before_the_next_which_knows_what_the_others_said() -> None:
    game = played({"one": ["a", "c"], "two": ["b", "c"], "three": ["c", "c"]})
    assert (game.output, game.asked) == ("c", ["one", "two", "three"] * 2)
    assert game.undone[:3] == [1, 2, 3]
    assert game.calls[1].say is None
    assert game.calls[4].say == {"answers": {"two": "b", "three": "c"}, "please": PLEASE}
    assert all(call.builds_on == frozenset() for call in game.calls.values())


def test_all_answers_are_shared_where_that_is_wanted() -> None:
    game = played({"one": ["a", "c"], "two": ["b", "c"], "three": ["c", "c"]}, share="all")
    assert game.calls[4].say == {"answers": {"one": "a", "two": "b", "three": "c"}, "please": PLEASE}


def test_stages_and_reasons_are_for_people() -> None:
    game = played({"one": ["a", "c"], "two": ["b", "c"], "three": ["c", "c"]})
    assert [call.stage for call in game.calls.values()] == ["1/2"] * 3 + ["2/2"] * 3
    assert game.calls[4].reason == "everybody answers in round 2, and knows what was said before"


def test_without_stop_all_rounds_are_debated_and_only_the_last_may_become_the_answer() -> None:
    game = played({name: ["a", "a"] for name in ("one", "two", "three")}, stop=None)
    assert len(game.asked) == 6
    assert [call.final for call in game.calls.values()] == [False] * 3 + [True] * 3


def test_most_votes_are_enough_after_the_last_round() -> None:
    said = {"one": ["a"], "two": ["a"], "three": ["b"], "four": ["c"], "five": ["d"]}
    game = played(said, members=[f"a.{name}" for name in said], rounds=1)
    assert game.output == "a"
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason == "2 of 5 members are for it, more than for any other answer"


def test_what_they_agree_on_is_an_expression() -> None:
    first, second, third = {"ok": True, "why": "x"}, {"ok": True, "why": "y"}, {"ok": False}
    game = played({"one": [first], "two": [second], "three": [third]}, by="output.ok")
    assert game.output == first
    assert isinstance(game.end, GiveAnswer)
    assert {item["at"] for item in game.end.contradictions} == {"output.why"}


def test_a_tie_goes_to_the_judge_who_sees_no_authors() -> None:
    game = played({"one": ["a"], "two": ["b"], "three": ["c"], "chair": ["b"]}, rounds=1, judge="a.chair")
    assert (game.output, game.kept) == ("b", {2, 4})  # what it has chosen stands, with its own turn
    assert game.calls[4].say == {"answers": ["a", "b", "c"]}
    assert game.calls[4].aggregates
    assert game.calls[4].final


def test_a_judge_who_fails_fails_the_debate() -> None:
    said: dict[str, list[Any]] = {"one": ["a"], "two": ["b"], "three": ["c"]}
    said["chair"] = [failure("no idea")]
    end = played(said, rounds=1, judge="a.chair").end
    assert end == FailTeam("chair, who had to decide between the answers, has failed: no idea")


def test_a_tie_without_a_judge_is_no_agreement() -> None:
    game = played({"one": ["a"], "two": ["b"], "three": ["c"]}, rounds=1)
    assert isinstance(game.end, ReachLimit)
    assert game.end.type == FailureType.NO_AGREEMENT
    assert game.end.message.endswith("the most votes for one answer are 1 of 3, and several have as many")
    assert game.kept == set()


def test_who_fails_drops_out_and_the_others_go_on() -> None:
    game = played({"one": ["a", "c"], "two": [failure()], "three": ["b", "c"]})
    assert game.asked == ["one", "two", "three", "one", "three"]
    assert game.calls[4].say == {"answers": {"three": "b"}, "please": PLEASE}
    assert (game.output, game.kept) == ("c", {4})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"one": ["a"], "two": [failure("no stock")], "three": [failure("no cash")]},
            "1 of 3 members are left, too few for a debate; "
            "in round 1 have failed: two: no stock; three: no cash",
        ),
        (
            {"one": ["a"], "two": ["b"], **{name: [failure()] for name in ("three", "four", "five")}},
            "2 of 5 members are left",
        ),
    ],
)
def test_too_few_who_are_left_fail_the_debate(said: dict[str, Any], message: str) -> None:
    end = played(said, members=[f"a.{name}" for name in said]).end
    assert isinstance(end, FailTeam)
    assert message in end.message


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"members": ["a.one"]}, "a debate has two members or more"),
        ({"members": []}, "at least 1 item"),
        ({"rounds": 11}, "less than or equal to 10"),
        ({"by": "output."}, r"by: 'output\.' does not parse"),
        ({"by": "outputs.x"}, "there is no 'outputs' to read; did you mean 'output'"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Debate(**{"members": MEMBERS, **terms})


@pytest.mark.parametrize("members", [2, 3, 5])
@pytest.mark.parametrize("rounds", [1, 2, 4])
@pytest.mark.parametrize("stop", [None, 2 / 3])
@pytest.mark.parametrize("judge", [None, "a.chair"])
def test_the_measured_turns_are_those_of_the_formula(
    members: int, rounds: int, stop: float | None, judge: str | None
) -> None:
    names = tuple(f"a.m{at}" for at in range(members))
    team = Debate(members=names, rounds=rounds, stop=stop, judge=judge)
    least = play(planner_of(team, Catalog()), lambda turn, _: "same", most=team.cost().most)
    most = play(planner_of(team, Catalog()), lambda turn, _: turn.member, most=team.cost().most)
    assert (len(least.asked), len(most.asked)) == (team.cost().least, team.cost().most)


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    team = Debate(
        members=[f"a.m{at}" for at in range(data.draw(st.integers(2, 5)))],
        rounds=data.draw(st.integers(1, 3)),
        share=data.draw(st.sampled_from(["others", "all"])),
        stop=data.draw(st.sampled_from([None, 0.3, 0.5, 2 / 3, 1])),
        judge=data.draw(st.sampled_from([None, "a.chair"])),
    )
    replies = st.one_of(st.integers(0, 2), st.integers(0, 2), st.builds(failure))
    game = play(
        DebatePlanner(team),
        lambda turn, call: data.draw(replies),
        most=team.cost().most,
        pick=lambda running: data.draw(st.integers(0, running - 1)),
        at_once=lambda running: data.draw(st.integers(1, running)),
    )
    stands_for_the_answer(game)
    if isinstance(game.end, FailTeam):
        assert any(turn.failure for turn in game.state.turns)
    if isinstance(game.end, ReachLimit):
        assert (team.judge, game.state.turns[-1].round) == (None, team.rounds)
    for turn in game.state.turns:  # nobody has come back who has failed
        before = [t for t in game.state.turns if t.member == turn.member and t.round < turn.round]
        assert all(t.has_answered for t in before)


@given(data=st.data())
def test_what_is_answered_does_not_depend_on_the_order_in_which_members_end(data: st.DataObject) -> None:
    team = Debate(members=[f"a.m{at}" for at in range(5)], stop=data.draw(st.sampled_from([None, 0.4, 0.6])))
    said = {
        (member, round_): data.draw(st.integers(0, 2))
        for member in ("m0", "m1", "m2", "m3", "m4")
        for round_ in (1, 2)
    }

    def end(pick: Any) -> Any:
        game = play(
            DebatePlanner(team), lambda t, _: said[t.member, t.round], most=team.cost().most, pick=pick
        )
        return game.end.output if isinstance(game.end, GiveAnswer) else type(game.end)

    assert end(lambda _: 0) == end(lambda running: data.draw(st.integers(0, running - 1)))


# --- a ranker

FIVE = tuple(f"a.{name}" for name in ("one", "two", "three", "four", "five"))


def ranked(best: Any, *, rounds: int = 4, **terms: Any) -> Game:
    """Five debate who never agree, and a ranker chooses."""
    team = Debate(**{"members": FIVE, "rounds": rounds, "ranker": "a.chair", **terms})

    def reply(turn: Turn, call: MemberCall) -> Any:
        return best if turn.purpose == "rank" else f"{turn.member} {turn.round}"

    return play(DebatePlanner(team), reply, most=team.cost().most)


def test_from_the_third_round_on_the_best_two_debate() -> None:
    game = ranked({"best": [4, 2]})
    all_five = ["one", "two", "three", "four", "five"]
    assert game.asked == [*all_five, *all_five, "chair", "two", "four", "two", "four"]
    ranking = game.calls[11]
    assert (ranking.say or {})["answers"] == [f"{name} 2" for name in all_five]
    assert game.calls[12].say == {
        "answers": {name: f"{name} 2" for name in all_five if name != "two"},
        "please": PLEASE,
    }
    assert game.calls[12].reason == "the best 2 answer in round 3, and know what was said before"
    assert isinstance(game.end, ReachLimit)
    assert sorted(game.undone) == [*range(1, 11), *range(11, 16)]


def test_the_part_that_has_to_agree_is_of_those_who_go_on() -> None:
    team = Debate(members=FIVE, rounds=3, ranker="a.chair")

    def reply(turn: Turn, call: MemberCall) -> Any:
        if turn.purpose == "rank":
            return {"best": [1, 5]}
        return "same" if turn.round == 3 else f"{turn.member} {turn.round}"

    game = play(DebatePlanner(team), reply, most=team.cost().most)
    assert isinstance(game.end, GiveAnswer)
    assert (game.output, game.end.reason) == ("same", "2 of 2 members agree in round 3")
    assert game.kept == {11, 12}


def test_how_many_go_on_and_from_when_can_be_said() -> None:
    game = ranked({"best": [1, 2, 3]}, rounds=3, keep=3, rank_from=2)
    assert game.asked == ["one", "two", "three", "four", "five", "chair", *["one", "two", "three"] * 2]


def test_nobody_is_ranked_where_no_more_are_left_than_go_on() -> None:
    assert "chair" not in ranked({}, members=FIVE[:2], keep=2).asked
    assert "chair" not in ranked({}, rounds=2).asked


@pytest.mark.parametrize(
    ("best", "first", "second"), [([3, 3], "one", "three"), ([5, 2, 1, 3], "two", "five")]
)
def test_a_ranker_may_name_one_twice_or_rank_more(best: list[int], first: str, second: str) -> None:
    assert ranked({"best": best}, rounds=3).asked[-2:] == [first, second]


@pytest.mark.parametrize("best", [{"best": [1]}, {"best": [1, 9]}, {}, failure("it is down")])
def test_a_ranker_that_does_not_choose_fails_it(best: Any) -> None:
    game = ranked(best)
    assert isinstance(game.end, FailTeam)
    assert "chair, who had to choose who goes on, has failed" in game.end.message


def test_the_cost_of_a_debate_with_a_ranker() -> None:
    assert Debate(members=FIVE, rounds=4, ranker="a.chair", judge="a.judge").cost() == (
        5,
        5 * 2 + 1 + 2 * 2 + 1,
        "members * (rank_from - 1) + 1 + keep * (rounds - rank_from + 1) (+ 1 for the judge)",
    )
    both = Debate(members=FIVE, rounds=4, ranker="a.chair", judge="a.chair")
    assert [seat.key for seat in both.seats()][5:] == ["chair"]


def test_what_is_for_a_ranker_is_refused_without_one() -> None:
    with pytest.raises(ValueError, match="keep: it is for a ranker; rank_from: it is for a ranker"):
        Debate(members=FIVE, keep=3, rank_from=4)
