"""The planner of handoffs, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterstep.saga.errors import FailureType
from counterstep.saga.spec.teams.handoffs import Handoffs
from counterstep.saga.teams.handoffs import CONVERSE, HandoffPlanner
from counterstep.saga.teams.moves import AwaitTurn, FailTeam, GiveAnswer, Move, ReachLimit
from counterstep.saga.teams.state import TeamState, Turn
from counterstep.tests.support.teams.play import Game, failure, play

MEMBERS = ("a.one", "a.two", "a.three")


def to(member: str, **arguments: Any) -> dict[str, Any]:
    return {"transfer": {"to": member, "arguments": arguments}}


def says(answer: Any) -> dict[str, Any]:
    return {"answer": answer}


def played(*replies: Any, planner: Any = None, **terms: Any) -> Game:
    team = Handoffs(members=MEMBERS, **terms)
    return play(
        planner or HandoffPlanner(team), lambda turn, _: replies[turn.number - 1], most=team.cost().most
    )


def test_the_first_one_answers_where_it_hands_nothing_over() -> None:
    game = played(says("x"))
    assert (game.output, game.asked, game.kept) == ("x", ["one"], {1})
    assert game.calls[1].say is None


def test_whoever_has_the_conversation_answers_and_builds_on_all_that_was_done() -> None:
    game = played(to("two", claim=1), to("three", reason="hard"), says("x"))
    assert (game.output, game.asked, game.kept) == ("x", ["one", "two", "three"], {1, 2, 3})
    assert game.calls[2].say == {"from": "one", "arguments": {"claim": 1}}
    assert game.calls[3].reason == "two hands over: hard"
    assert game.calls[3].builds_on == {1, 2}
    assert game.calls[3].stage == "2/5"


@pytest.mark.parametrize("type_", [FailureType.GAVE_UP, "TheirOwn"])
def test_one_who_fails_fails_all_as_if_it_were_alone(type_: str) -> None:
    end = played(to("two"), failure("no idea", type_)).end
    assert end == FailTeam("no idea", type_)


def test_the_same_handoff_once_more_is_a_loop_and_another_one_is_not() -> None:
    end = played(to("two", a=1, b=2.0), to("one"), to("two", b=2, a=1)).end
    assert isinstance(end, ReachLimit)
    assert (end.type, end.finisher, end.keep) == (FailureType.LOOP_DETECTED, "one", frozenset({1, 2, 3}))
    assert played(to("two", a=1), to("one"), to("two", a=2), says("x")).output == "x"
    assert played(to("two"), to("three"), to("two"), says("x")).output == "x"


def test_one_more_than_the_most_is_a_limit_and_not_carried_out() -> None:
    game = played(to("two", n=1), to("one", n=2), to("three", n=3), max_handoffs=2)
    assert isinstance(game.end, ReachLimit)
    assert (game.end.type, game.end.finisher) == (FailureType.CAP_REACHED, "one")
    assert game.asked == ["one", "two", "one"]
    assert game.end.say["refused"]["handing over to"] == "three"


_moves = st.one_of(
    st.builds(to, st.sampled_from(["one", "two", "three"]), n=st.integers(0, 2)),
    st.builds(says, st.integers()),
    st.just(failure()),
)


def kept_in_order(game: Game) -> None:
    """Says that all that was done stands, in one chain, and that nothing was handed over twice."""
    most = max(game.state.turns, key=lambda turn: turn.number).number
    for number, call in game.calls.items():
        assert call.builds_on == frozenset(range(1, number)), "a turn does not build on all before it"
    if isinstance(game.end, GiveAnswer):
        last = game.state.turns[-1]
        assert game.end.output == last.output["answer"], "the answer is not that of the last one"
        assert game.kept == set(range(1, most + 1)), "something of the conversation does not stand"
    if isinstance(game.end, ReachLimit):
        assert game.end.finisher == game.state.turns[-1].member, "somebody else has the conversation"
    handed = [(turn.member, str(turn.output["transfer"])) for turn in game.state.turns[:-1]]
    assert len(handed) == len(set(handed)), "the same was handed over twice"
    for turn, after in zip(game.state.turns, game.state.turns[1:], strict=False):
        assert after.member == turn.output["transfer"]["to"], "somebody else has taken over"


@given(st.lists(_moves, min_size=10, max_size=10), st.integers(1, 9))
def test_no_order_of_answers_and_failures_breaks_the_chain_or_passes_the_cap(
    replies: list[Any], most: int
) -> None:
    game = played(*replies, max_handoffs=most)
    kept_in_order(game)
    if isinstance(game.end, FailTeam):
        assert set(game.undone) == set(range(1, len(game.asked) + 1)), "something stands of what has failed"


class Wrong:
    """Plans wrongly on purpose: a limit is passed over, or a handoff loses what was done before."""

    def __init__(self, wrong: str) -> None:
        self._wrong = wrong
        terms = Handoffs(members=MEMBERS, max_handoffs=9 if wrong == "endless" else 2)
        self._right = HandoffPlanner(terms)

    def next(self, state: TeamState) -> Move:
        move = self._right.next(state)
        if self._wrong == "forgets" and isinstance(move, GiveAnswer):
            return GiveAnswer(move.output, frozenset({len(state.turns)}), move.reason)
        return move


@pytest.mark.parametrize(
    ("wrong", "message"), [("endless", "one more than"), ("forgets", "does not stand|builds on")]
)
def test_a_planner_that_is_wrong_on_purpose_is_caught(wrong: str, message: str) -> None:
    replies = [to("two", n=n) for n in range(3)] if wrong == "endless" else [to("two"), says("x")]
    with pytest.raises(AssertionError, match=message):
        kept_in_order(played(*replies, planner=Wrong(wrong), max_handoffs=2))


def test_a_turn_that_runs_is_waited_for() -> None:
    state = TeamState().begin(Turn(number=1, member="one", purpose=CONVERSE))
    assert HandoffPlanner(Handoffs(members=MEMBERS)).next(state) == AwaitTurn()
