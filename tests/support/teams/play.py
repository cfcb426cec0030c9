"""Plays a team without a server: what its planner decides is done to a value, and checked at every move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from counterstep.saga.failure import Failure
from counterstep.saga.teams.judging import JUDGE
from counterstep.saga.teams.moves import (
    AskMembers,
    AwaitTurn,
    FailTeam,
    GiveAnswer,
    MemberCall,
    Move,
    Planner,
    ReachLimit,
    UndoTurns,
)
from counterstep.saga.teams.state import TeamState, Turn, TurnState

Reply = Callable[[Turn, MemberCall], Any]
"""What a member answers; a `Failure` where it fails."""

Pick = Callable[[int], int]
"""Which of so many turns that are under way ends next."""

AtOnce = Callable[[int], int]
"""How many of so many turns that are under way end before the planner is asked again."""


@dataclass
class Game:
    """How a team has played.

    Attributes:
        end: The last move.
        state: All turns.
        calls: What was asked, by the number of the turn.
        undone: The numbers of the turns that were undone, in order; those that failed at once included.
        busiest: How many were under way at once, at most.
    """

    end: GiveAnswer | ReachLimit | FailTeam
    state: TeamState
    calls: dict[int, MemberCall]
    undone: list[int]
    busiest: int = 0

    @property
    def asked(self) -> list[str]:
        """Who was asked, in order."""
        return [turn.member for turn in self.state.turns]

    @property
    def kept(self) -> set[int]:
        """The numbers of the turns whose effects stand at the end."""
        return {turn.number for turn in self.state.standing}

    @property
    def output(self) -> Any:
        """The team's answer."""
        assert isinstance(self.end, GiveAnswer), self.end
        return self.end.output


@dataclass
class _Table:
    planner: Planner
    reply: Reply
    pick: Pick
    at_once: AtOnce
    most: int
    state: TeamState
    calls: dict[int, MemberCall] = field(default_factory=dict)
    undone: list[int] = field(default_factory=list)
    busiest: int = 0

    def play(self) -> Game:
        for _ in range(10 * self.most + 10):
            move = self._next()
            if isinstance(move, GiveAnswer | ReachLimit | FailTeam):
                self._end(move)
                return Game(move, self.state, self.calls, self.undone, self.busiest)
            self._do(move)
        raise AssertionError("the planner does not come to an end")

    def _next(self) -> Move:
        move = self.planner.next(self.state)
        again = TeamState.model_validate_json(self.state.model_dump_json())
        assert self.planner.next(again) == move, "the same state has to give the same move, wherever it was"
        return move

    def _do(self, move: AskMembers | AwaitTurn | UndoTurns) -> None:
        match move:
            case AskMembers(calls):
                assert calls, "it asks nobody"
                for call in calls:
                    self._begin(call)
            case AwaitTurn():
                assert self.state.running, "it waits, and nothing is under way"
                for _ in range(self.at_once(len(self.state.running))):
                    running = self.state.running
                    self._finish(running[self.pick(len(running))])
            case UndoTurns(turns):
                assert turns, "it undoes nothing"
                self._undo(turns)

    def _begin(self, call: MemberCall) -> None:
        number = len(self.state.turns) + 1
        assert number <= self.most, f"turn {number} is one more than the {self.most} that its cost allows"
        standing = {turn.number for turn in self.state.standing}
        assert call.builds_on <= standing, "it builds on what does not stand"
        turn = Turn(
            number=number,
            member=call.member,
            purpose=call.purpose,
            round=call.round,
            builds_on=call.builds_on,
        )
        self.calls[number] = call
        self.state = self.state.begin(turn)
        self.busiest = max(self.busiest, len(self.state.running))

    def _finish(self, turn: Turn) -> None:
        reply = self.reply(turn, self.calls[turn.number])
        if isinstance(reply, Failure):
            self.undone.append(turn.number)
            self.state = self.state.change(turn.number, state=TurnState.FAILED, failure=reply)
        else:
            self.state = self.state.change(turn.number, state=TurnState.ANSWERED, output=reply)

    def _undo(self, numbers: frozenset[int]) -> None:
        open_ = {turn.number for turn in (*self.state.running, *self.state.standing)}
        assert numbers <= open_, f"{sorted(numbers - open_)} neither run nor stand, and are to be undone"
        for turn in self.state.turns:
            if turn.number in open_ - numbers:
                assert turn.builds_on.isdisjoint(numbers), f"turn {turn.number} builds on what is undone"
        for number in numbers:
            stood = self.state.turns[number - 1].state is TurnState.ANSWERED
            self.undone.append(number)
            stopped = Failure(step="s", type="Cancelled", message="stopped")
            self.state = self.state.change(
                number,
                state=TurnState.UNDONE if stood else TurnState.FAILED,
                failure=None if stood else stopped,
            )

    def _end(self, move: GiveAnswer | ReachLimit | FailTeam) -> None:
        kept = frozenset[int]() if isinstance(move, FailTeam) else move.keep
        assert kept <= {turn.number for turn in self.state.standing}, "it keeps what does not stand"
        losers = {turn.number for turn in (*self.state.running, *self.state.standing)} - kept
        if losers:
            self._undo(frozenset(losers))
        assert len(self.undone) == len(set(self.undone)), "a turn was undone twice"
        ended = {turn.number for turn in self.state.turns} - kept
        assert set(self.undone) == ended, "what is not kept is undone, and nothing else"


def play(
    planner: Planner,
    reply: Reply,
    *,
    most: int,
    pick: Pick = lambda _: 0,
    at_once: AtOnce = lambda _: 1,
    input: Any = None,
) -> Game:
    """Plays a team to its end.

    Args:
        planner: Says what comes next.
        reply: What members answer.
        most: The most turns that its cost allows.
        pick: The order in which turns end; the oldest first where not given.
        at_once: How many end at the same time; one where not given.
        input: The team's input.

    Raises:
        AssertionError: The planner has broken a rule of the loop: it repeats or loses an undo, keeps what
            does not stand, asks more than its cost allows, waits for nothing, or does not come to an end.
    """
    return _Table(planner, reply, pick, at_once, most, TeamState(input=input)).play()


def stands_for_the_answer(game: Game) -> None:
    """Says that no more stands than the answer: one turn that has given it, and a judge who has chosen it.

    That holds for teams in which members answer the same question side by side, and one answer counts.

    Raises:
        AssertionError: A loser stands, or what the answer says does not.
    """
    if not isinstance(game.end, GiveAnswer):
        return
    standing = game.state.standing
    behind = [turn for turn in standing if turn.output == game.end.output]
    assert behind, "nothing stands of what the answer says"
    others = [turn for turn in standing if turn.purpose != JUDGE and turn is not behind[0]]
    losers = others[1:] if behind[0].purpose == JUDGE else others
    assert not losers, f"turn {losers[0].number} stands, and is not a part of the answer"


def failure(message: str = "broken", type_: str = "SomeError") -> Failure:
    """Returns why a member has failed."""
    return Failure(step="s", type=type_, message=message)
