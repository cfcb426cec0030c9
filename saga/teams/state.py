"""How far a team has come, as one value: whatever a planner decides, it decides from this."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..failure import Failure


class TurnState(StrEnum):
    """What became of one turn."""

    RUNNING = "running"
    ANSWERED = "answered"
    FAILED = "failed"
    """It has failed, or was stopped; what it did is undone."""
    UNDONE = "undone"
    """It has answered, and what it did is undone: the answer is superseded, or was not chosen."""


class Turn(BaseModel):
    """One time that a member was asked.

    Attributes:
        number: Its number in the team, counted from 1; it stands in the path, ``STEP/MEMBER.N``.
        member: Who was asked, as the team calls it.
        purpose: What for, in the planner's words, e.g. ``answer`` or ``judge``.
        round: In which round of the pattern, counted from 1.
        builds_on: The numbers of the turns on whose effects it builds.
        state: What became of it.
        output: The answer.
        failure: Why there is none.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    member: str
    purpose: str
    round: int = 1
    builds_on: frozenset[int] = frozenset()
    state: TurnState = TurnState.RUNNING
    output: Any = None
    failure: Failure | None = None

    @property
    def has_answered(self) -> bool:
        """Whether there is an answer, even if what was done for it is undone by now."""
        return self.state in (TurnState.ANSWERED, TurnState.UNDONE)


class TeamState(BaseModel):
    """All turns of a team so far.

    Attributes:
        input: The team's input.
        turns: Oldest first.
    """

    model_config = ConfigDict(frozen=True)

    input: Any = None
    turns: tuple[Turn, ...] = ()

    def of(self, purpose: str, round_: int | None = None) -> tuple[Turn, ...]:
        """Returns the turns of one purpose, and of one round if that is given."""
        return tuple(t for t in self.turns if t.purpose == purpose and round_ in (None, t.round))

    def first(self, purpose: str, round_: int | None = None) -> Turn | None:
        """Returns the first turn of one purpose, and of one round if that is given; None for none."""
        return next(iter(self.of(purpose, round_)), None)

    @property
    def running(self) -> tuple[Turn, ...]:
        """The turns that have not ended."""
        return tuple(turn for turn in self.turns if turn.state is TurnState.RUNNING)

    @property
    def standing(self) -> tuple[Turn, ...]:
        """The turns that have answered, and whose effects stand."""
        return tuple(turn for turn in self.turns if turn.state is TurnState.ANSWERED)

    def answers(self, purpose: str, round_: int | None = None) -> Iterator[Turn]:
        """Yields the turns of one purpose that have answered, oldest first."""
        return (turn for turn in self.of(purpose, round_) if turn.has_answered)

    def without(self, purpose: str) -> TeamState:
        """Returns the state as a planner sees it that knows nothing of turns of this purpose."""
        turns = tuple(turn for turn in self.turns if turn.purpose != purpose)
        return self if len(turns) == len(self.turns) else self.model_copy(update={"turns": turns})

    def begin(self, turn: Turn) -> TeamState:
        """Adds a turn."""
        return self.model_copy(update={"turns": (*self.turns, turn)})

    def change(self, number: int, **changes: Any) -> TeamState:
        """Changes one turn."""
        turns = tuple(t.model_copy(update=changes) if t.number == number else t for t in self.turns)
        return self.model_copy(update={"turns": turns})
