"""Planners that are wrong on purpose: the play of a team says of each what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from counterstep.saga.spec.teams.debate import Debate
from counterstep.saga.teams.debate import DebatePlanner
from counterstep.saga.teams.moves import (
    AskMembers,
    AwaitTurn,
    GiveAnswer,
    MemberCall,
    Move,
    ReachLimit,
    UndoTurns,
)
from counterstep.saga.teams.state import TeamState, Turn
from counterstep.tests.support.teams.play import play, stands_for_the_answer

TEAM = Debate(members=["a.one", "a.two", "a.three"], judge="a.chair")

Wrong = Callable[[TeamState, Move], Move]
"""Makes another move of the right one."""


class WrongPlanner:
    """Plays a debate, and spoils some of its moves."""

    def __init__(self, wrong: Wrong) -> None:
        self._right = DebatePlanner(TEAM)
        self._wrong = wrong

    def next(self, state: TeamState) -> Move:
        return self._wrong(state, self._right.next(state))


def reply(turn: Turn, call: MemberCall) -> str:
    """Nobody agrees in the first round, and two of three do in the second."""
    return "same" if turn.round == 2 and turn.member != "three" else turn.member


def played(wrong: Wrong) -> None:
    """Plays it to its end, as the tests of the planner do."""
    stands_for_the_answer(play(WrongPlanner(wrong), reply, most=TEAM.cost().most))


def test_the_right_planner_passes() -> None:
    played(lambda state, move: move)


def repeats_an_undo(state: TeamState, move: Move) -> Move:
    if len(state.turns) == 6 and 1 not in {turn.number for turn in (*state.running, *state.standing)}:
        return UndoTurns(frozenset({1}), "once more")
    return move


def keeps_what_is_undone(state: TeamState, move: Move) -> Move:
    return replace(move, keep=move.keep | {1}) if isinstance(move, GiveAnswer) else move


def keeps_what_runs(state: TeamState, move: Move) -> Move:
    if len(state.standing) == 1:
        return GiveAnswer("early", frozenset({2}), "it does not wait")
    return move


def loses_a_loser(state: TeamState, move: Move) -> Move:
    if isinstance(move, GiveAnswer):
        return replace(move, keep=frozenset(turn.number for turn in state.standing))
    return move


def loses_its_answer(state: TeamState, move: Move) -> Move:
    return replace(move, keep=frozenset()) if isinstance(move, GiveAnswer) else move


def answers_with_what_nobody_said(state: TeamState, move: Move) -> Move:
    return replace(move, output="mine") if isinstance(move, GiveAnswer) else move


def undoes_what_others_build_on(state: TeamState, move: Move) -> Move:
    if len(state.turns) == 3 and len(state.standing) == 3:
        return AskMembers([MemberCall("one", "answer", 2, builds_on=frozenset({1, 2}))])
    if len(state.turns) == 4:
        return UndoTurns(frozenset({1}), "superseded, it thinks")
    return move


def keeps_without_what_it_builds_on(state: TeamState, move: Move) -> Move:
    if len(state.turns) == 3 and len(state.standing) == 3:
        return AskMembers([MemberCall("one", "answer", 2, builds_on=frozenset({1}))])
    if len(state.turns) == 4:
        ended = len(state.standing) == 4
        return GiveAnswer("same", frozenset({4}), "the last one") if ended else AwaitTurn()
    return move


def builds_on_what_is_undone(state: TeamState, move: Move) -> Move:
    if isinstance(move, AskMembers) and state.turns:
        return AskMembers([replace(call, builds_on=frozenset({1})) for call in move.calls])
    return move


def asks_beyond_its_cost(state: TeamState, move: Move) -> Move:
    if isinstance(move, GiveAnswer):
        return AskMembers([MemberCall("one", "answer", 3)] * 2)
    return move


def waits_for_nothing(state: TeamState, move: Move) -> Move:
    return AwaitTurn() if isinstance(move, UndoTurns) else move


def asks_nobody(state: TeamState, move: Move) -> Move:
    return AskMembers([]) if isinstance(move, UndoTurns) else move


def undoes_nothing(state: TeamState, move: Move) -> Move:
    return replace(move, turns=frozenset()) if isinstance(move, UndoTurns) else move


def keeps_at_a_limit_what_is_undone(state: TeamState, move: Move) -> Move:
    return ReachLimit("enough", "one", frozenset({1})) if isinstance(move, GiveAnswer) else move


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (repeats_an_undo, r"\[1\] neither run nor stand, and are to be undone"),
        (keeps_what_is_undone, "it keeps what does not stand"),
        (keeps_at_a_limit_what_is_undone, "it keeps what does not stand"),
        (keeps_what_runs, "it keeps what does not stand"),
        (loses_a_loser, "turn 5 stands, and is not a part of the answer"),
        (loses_its_answer, "nothing stands of what the answer says"),
        (answers_with_what_nobody_said, "nothing stands of what the answer says"),
        (undoes_what_others_build_on, "turn 4 builds on what is undone"),
        (keeps_without_what_it_builds_on, "turn 4 builds on what is undone"),
        (builds_on_what_is_undone, "it builds on what does not stand"),
        (asks_beyond_its_cost, "turn 8 is one more than the 7 that its cost allows"),
        (waits_for_nothing, "it waits, and nothing is under way"),
        (asks_nobody, "it asks nobody"),
        (undoes_nothing, "it undoes nothing"),
    ],
)
def test_what_is_wrong_is_named(wrong: Wrong, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        played(wrong)


def test_a_planner_that_remembers_is_found_out() -> None:
    calls: Iterator[int] = count()

    def remembers(state: TeamState, move: Move) -> Move:
        return replace(move, reason=f"call {next(calls)}") if isinstance(move, UndoTurns) else move

    with pytest.raises(AssertionError, match="the same state has to give the same move"):
        played(remembers)


def test_a_planner_that_looks_at_more_than_is_kept_is_found_out() -> None:
    known: list[Any] = []

    def knows_its_state(state: TeamState, move: Move) -> Move:
        known.append(state)
        return UndoTurns(frozenset({len(known)}), "other") if isinstance(move, UndoTurns) else move

    with pytest.raises(AssertionError, match="wherever it was"):
        played(knows_its_state)


def test_a_planner_that_does_not_come_to_an_end_is_found_out() -> None:
    def goes_round(state: TeamState, move: Move) -> Move:
        return AskMembers([MemberCall("one", "answer")]) if len(state.turns) < 10 else move

    with pytest.raises(AssertionError, match="its cost allows"):
        played(goes_round)
