"""The planner of Concurrent, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.failure import Failure
from counterstep.saga.spec.teams.concurrent import Concurrent
from counterstep.saga.teams.concurrent import ConcurrentPlanner
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, MemberCall, ReachLimit
from counterstep.saga.teams.state import Turn
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.one", "a.two", "a.three")


def played(replies: dict[str, Any], *, pick: Any = lambda _: 0, **terms: Any) -> Game:
    team = Concurrent(**{"members": MEMBERS, **terms})
    return play(
        ConcurrentPlanner(team), lambda turn, _: replies[turn.member], most=team.cost().most, pick=pick
    )


def test_collect_gives_all_answers_with_their_contradictions() -> None:
    game = played({"one": {"price": 1, "by": "x"}, "two": {"price": 2, "by": "x"}, "three": {"price": 1}})
    assert game.output == {
        "answers": {"one": {"price": 1, "by": "x"}, "two": {"price": 2, "by": "x"}, "three": {"price": 1}},
        "contradictions": [
            {"at": "output.price", "said": {"one": 1, "two": 2, "three": 1}},
        ],
    }
    assert game.undone == []


def test_a_vote_ends_as_soon_as_one_answer_has_more_than_half() -> None:
    game = played({"one": "yes", "two": "yes", "three": "no"}, combine="vote")
    assert (game.output, game.undone) == ("yes", [2, 3])  # the third was still under way


def test_no_majority_asks_the_judge_who_sees_no_authors() -> None:
    seen: list[MemberCall] = []

    def reply(turn: Turn, call: MemberCall) -> Any:
        seen.append(call)
        return "c" if turn.member == "chair" else turn.member

    team = Concurrent(members=MEMBERS, combine="vote", judge="a.chair")
    game = play(ConcurrentPlanner(team), reply, most=team.cost().most)
    assert game.output == "c"
    assert seen[-1].say == {"answers": ["one", "two", "three"]}


def test_no_majority_and_no_judge_is_no_agreement() -> None:
    end = played({"one": 1, "two": 2, "three": 3}, combine="vote").end
    assert isinstance(end, ReachLimit)
    assert end.type == FailureType.NO_AGREEMENT
    assert "the most votes for one answer are 1 of 3" in end.message


def test_weights_and_what_is_voted_on() -> None:
    replies = {"one": {"ok": True, "why": "a"}, "two": {"ok": False}, "three": {"ok": False}}
    game = played(replies, combine="vote", by="output.ok", weights={"one": 3})
    assert game.output == {"ok": True, "why": "a"}


def test_best_takes_the_highest_score_and_the_earliest_of_equals() -> None:
    replies = {"one": {"n": 1}, "two": {"n": 5}, "three": {"n": 5}}
    game = played(replies, combine="best", score="output.n")
    assert (game.output, game.undone) == ({"n": 5}, [1, 3])


def test_an_agent_combines_the_answers_and_they_stand_with_it() -> None:
    game = played({"one": 1, "two": 2, "three": 3, "editor": "all"}, combine="a.editor")
    assert (game.output, game.undone) == ("all", [])
    assert game.calls[4].builds_on == {1, 2, 3}


def test_an_answer_that_comes_after_the_quorum_is_not_combined_and_does_not_stand() -> None:
    team = Concurrent(members=MEMBERS, combine="a.editor", quorum=2)
    game = play(ConcurrentPlanner(team), lambda turn, _: turn.member, most=team.cost().most)
    assert game.asked == ["one", "two", "three", "editor"]
    assert (game.output, game.kept) == ("editor", {1, 2, 4})  # the third has answered before the editor


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"combine": "a.editor"},
        {"quorum": 2},
        {"quorum": 2, "max_parallel": 1},
        {"combine": "vote"},
        {"combine": "vote", "judge": "a.chair"},
        {"combine": "vote", "max_parallel": 1},
        {"combine": "vote", "max_parallel": 1, "weights": {"one": 5}},
        {"combine": "vote", "max_parallel": 1, "weights": {"three": 5}},
        {"combine": "vote", "max_parallel": 1, "quorum": 1},
    ],
)
def test_the_measured_turns_are_those_of_the_formula(terms: dict[str, Any]) -> None:
    team = Concurrent(**{"members": MEMBERS, **terms})
    cost = team.cost()
    least = play(ConcurrentPlanner(team), lambda turn, _: "same", most=cost.most)
    assert len(least.asked) == cost.least
    if team.quorum is None and not team.weights:  # nothing ends it before everybody is asked
        most = play(ConcurrentPlanner(team), lambda turn, _: turn.member, most=cost.most)
        assert len(most.asked) == cost.most


def test_a_quorum_of_answers_is_enough_and_the_rest_is_stopped() -> None:
    game = played({"one": 1, "two": failure(), "three": 3}, quorum=1, pick=lambda running: running - 1)
    assert game.output["answers"] == {"three": 3}
    assert sorted(game.undone) == [1, 2]


def test_a_failed_member_fails_a_team_that_needs_everybody() -> None:
    end = played({"one": 1, "two": failure("no stock"), "three": 3}).end
    assert isinstance(end, FailTeam)
    assert "1 of 3 members have failed: two: no stock" in end.message


def test_no_more_than_max_parallel_work_at_once() -> None:
    assert played({"one": 1, "two": 2, "three": 3}, max_parallel=2).busiest == 2


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    combine = data.draw(st.sampled_from(["collect", "vote", "best", "a.editor"]))
    terms: dict[str, Any] = {"combine": combine, "max_parallel": data.draw(st.sampled_from([None, 1, 2]))}
    if combine == "best":
        terms["score"] = "output"
    if combine == "vote":
        terms["judge"] = data.draw(st.sampled_from([None, "a.chair"]))
    terms["quorum"] = data.draw(st.sampled_from([None, 1, 2, 3]))

    def reply(turn: Turn, call: MemberCall) -> Any:
        return data.draw(st.one_of(st.integers(0, 2), st.builds(failure)))

    team = Concurrent(**{"members": MEMBERS, **terms})
    game = play(
        ConcurrentPlanner(team),
        reply,
        most=team.cost().most,
        pick=lambda running: data.draw(st.integers(0, running - 1)),
        at_once=lambda running: data.draw(st.integers(1, running)),
    )
    answers = [turn.output for turn in game.state.turns if turn.has_answered]
    if isinstance(game.end, GiveAnswer) and combine in ("vote", "best"):
        assert game.end.output in answers
    if isinstance(game.end, FailTeam):
        assert any(isinstance(turn.failure, Failure) for turn in game.state.turns)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"weights": {"onne": 1}, "combine": "vote"}, "there is no member 'onne'"),
        ({"quorum": 4}, "it can never be reached; the most is 3"),
        ({"combine": "best", "score": "input.x"}, "score: input.x cannot be read here; there are output"),
        ({"combine": "vote", "by": "output +"}, r"by: 'output \+' does not parse"),
        ({"quorum": 1.5}, "it is a number of answers, and so a whole one"),
        ({"combine": "best"}, "combine: best needs it"),
        ({"by": "output"}, "it is for combine: vote"),
        ({"members": ["a.one", "b.one"]}, "are both called 'one'"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Concurrent(**{"members": MEMBERS, **terms})
