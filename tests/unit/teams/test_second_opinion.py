"""The planner of SecondOpinion, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.spec.teams.second_opinion import SecondOpinion
from counterstep.saga.teams.moves import FailTeam, GiveAnswer, ReachLimit
from counterstep.saga.teams.second_opinion import SecondOpinionPlanner
from counterstep.tests.support.teams.play import Game, failure, play, stands_for_the_answer


def sure(confidence: Any, says: Any = "a") -> dict[str, Any]:
    return {"says": says, "confidence": confidence}


def played(replies: dict[str, Any], **terms: Any) -> Game:
    team = SecondOpinion(**{"first": "a.one", "other": "a.two", **terms})
    return play(SecondOpinionPlanner(team), lambda turn, _: replies[turn.member], most=team.cost().most)


def test_a_first_answer_that_is_sure_is_the_answer() -> None:
    game = played({"one": sure(0.7)})
    assert (game.output, game.asked, game.kept) == (sure(0.7), ["one"], {1})
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason == "one is sure by 0.7, that is enough"


@pytest.mark.parametrize(
    "answer", [sure(0.69), sure("high"), sure(None), sure(True), sure(95), sure(-1), {"says": "a"}, "a"]
)
def test_an_answer_that_is_not_readably_sure_asks_the_other(answer: Any) -> None:
    game = played({"one": answer, "two": sure(0.5)})
    assert game.asked == ["one", "two"]
    assert game.calls[2].say is None  # a second opinion is one's own
    assert game.calls[2].reason == (
        "one is sure by 0.69, less than 0.7"
        if answer == sure(0.69)
        else "one does not say from 0 to 1 how sure it is"
    )


@pytest.mark.parametrize(
    ("first", "other", "kept"), [(0.6, 0.5, 1), (0.5, 0.6, 2), (0.5, 0.5, 1), (None, 0.1, 2), (0.1, None, 1)]
)
def test_where_both_agree_the_surer_answer_stands_and_nobody_reconciles(
    first: float | None, other: float | None, kept: int
) -> None:
    game = played({"one": sure(first), "two": sure(other)}, reconcile="a.chair")
    assert (game.output, game.kept) == (sure([first, other][kept - 1]), {kept})
    assert game.undone == [3 - kept]
    assert isinstance(game.end, GiveAnswer)
    assert game.end.contradictions == []


def test_where_they_differ_the_surer_one_counts() -> None:
    game = played({"one": sure(0.5, "a"), "two": sure(0.6, "b")})
    assert (game.output, game.kept) == (sure(0.6, "b"), {2})
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason == "both differ, and two is the surer one; two is sure by 0.6, less than 0.7"
    assert game.end.contradictions == [{"at": "output.says", "said": {"one": "a", "two": "b"}}]


def test_where_they_differ_somebody_reconciles_who_sees_no_authors() -> None:
    replies = {"one": sure(0.5, "a"), "two": sure(0.6, "b"), "chair": sure(0.9, "a")}
    game = played(replies, reconcile="a.chair")
    assert game.calls[3].say == {"answers": [sure(0.5, "a"), sure(0.6, "b")]}
    assert (game.output, game.kept) == (sure(0.9, "a"), {1, 3})  # the first says the same, so it stands


def test_an_answer_of_whoever_reconciles_undoes_both_where_it_is_neither() -> None:
    replies = {"one": sure(0.5, "a"), "two": sure(0.6, "b"), "chair": sure(0.9, "c")}
    assert played(replies, reconcile="a.chair").kept == {3}


def test_whoever_reconciles_and_fails_fails_it() -> None:
    replies = {"one": sure(0.5, "a"), "two": sure(0.6, "b"), "chair": failure("no idea")}
    end = played(replies, reconcile="a.chair").end
    assert end == FailTeam("chair, who had to decide between the answers, has failed: no idea")


def test_what_has_to_be_the_same_and_what_is_confidence_are_expressions() -> None:
    terms: dict[str, Any] = {"by": "output.ok", "confidence": "output.sure / 100"}
    game = played({"one": {"ok": 1, "sure": 60, "x": 1}, "two": {"ok": 1, "sure": 50, "x": 2}}, **terms)
    assert game.kept == {1}
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason.startswith("both agree")


def test_what_cannot_be_compared_differs() -> None:
    game = played({"one": {"confidence": 0.2}, "two": {"confidence": 0.3}}, by="output.ok")
    assert isinstance(game.end, GiveAnswer)
    assert game.end.reason.startswith("both differ")
    assert game.kept == {2}


def test_the_other_answers_where_the_first_fails() -> None:
    game = played({"one": failure("no stock"), "two": sure(0.8)})
    assert game.calls[2].reason == "one has failed: no stock"
    assert (game.output, game.kept) == (sure(0.8), {2})


@pytest.mark.parametrize(
    ("replies", "alone", "message"),
    [
        (
            {"one": sure(0.5), "two": failure("no stock")},
            1,
            "one is sure by 0.5, less than 0.7, and two has failed: no stock",
        ),
        (
            {"one": failure("no stock"), "two": sure(None)},
            2,
            "two does not say from 0 to 1 how sure it is, and one has failed: no stock",
        ),
    ],
)
def test_an_answer_that_is_not_sure_and_that_nobody_confirms_is_a_limit(
    replies: dict[str, Any], alone: int, message: str
) -> None:
    end = played(replies, reconcile="a.chair").end
    assert isinstance(end, ReachLimit)
    assert (end.message, end.type, set(end.keep)) == (message, FailureType.TEAM_FAILED, {alone})


def test_two_failures_fail_it() -> None:
    end = played({"one": failure("no stock"), "two": failure("no cash")}).end
    assert end == FailTeam("one has failed: no stock; two has failed: no cash")


@pytest.mark.parametrize(("reconcile", "turns"), [(None, 2), ("a.chair", 3)])
def test_the_measured_turns_are_those_of_the_formula(reconcile: str | None, turns: int) -> None:
    cost = SecondOpinion(first="a.one", other="a.two", reconcile=reconcile).cost()
    assert (cost.least, cost.most) == (1, turns)
    assert len(played({"one": sure(1)}, reconcile=reconcile).asked) == cost.least
    replies = {"one": sure(0.1, "a"), "two": sure(0.1, "b"), "chair": sure(0.1, "c")}
    assert len(played(replies, reconcile=reconcile).asked) == cost.most


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"below": 1.1}, "less than or equal to 1"),
        ({"confidence": "input.x"}, "confidence: input.x cannot be read here; there are output"),
        ({"by": "output +"}, r"by: 'output \+' does not parse"),
        ({"other": "b.one"}, "other and first are both called 'one'"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SecondOpinion(**{"first": "a.one", "other": "a.two", **terms})


@given(data=st.data())
def test_no_order_of_answers_and_failures_breaks_a_rule(data: st.DataObject) -> None:
    team = SecondOpinion(
        first="a.one",
        other="a.two",
        reconcile=data.draw(st.sampled_from([None, "a.chair"])),
        below=data.draw(st.sampled_from([0.1, 0.7, 1])),
    )
    confidence = st.one_of(st.floats(0, 1), st.sampled_from([None, "high", 2, -1]))
    replies = st.one_of(st.builds(sure, confidence, st.sampled_from("ab")), st.just("a"), st.builds(failure))
    game = play(SecondOpinionPlanner(team), lambda turn, call: data.draw(replies), most=team.cost().most)
    stands_for_the_answer(game)
    if isinstance(game.end, FailTeam | ReachLimit):
        assert any(turn.failure for turn in game.state.turns)
