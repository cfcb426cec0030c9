"""A team on its way: into a child workflow, from run to run of it, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from ...agents.agent_outcome import AgentOutcome
from ...agents.assignment import Assignment
from ...children.moved import MovedAnswer, MovedState
from ...routing.selection import Drawn
from ...spec.catalog import AgentEntry, Catalog
from ...spec.timeout import Timeout
from ...verdict import Evidence
from ..moves import FailTeam, GiveAnswer, Move, ReachLimit, UndoTurns
from ..state import TeamState, Turn


class TurnOutcome(BaseModel):
    """What came of one turn, beside its answer, which is in the turn.

    Attributes:
        evidence: The tool calls that were executed.
        models: The models that took part.
        degraded: Whether it is only what there was when a limit was reached.
        drawn: See `AgentOutcome`.
    """

    model_config = ConfigDict(frozen=True)

    evidence: tuple[Evidence, ...] = ()
    models: tuple[str, ...] = ()
    degraded: bool = False
    drawn: tuple[Drawn, ...] = ()

    @classmethod
    def of(cls, outcome: AgentOutcome) -> Self:
        """Packs an outcome."""
        models = tuple(sorted(outcome.models))
        return cls(
            evidence=tuple(outcome.evidence), models=models, degraded=outcome.degraded, drawn=outcome.drawn
        )

    def unpacked(self, output: Any) -> AgentOutcome:
        """Unpacks it, with the answer."""
        return AgentOutcome(output, self.evidence, frozenset(self.models), self.degraded, self.drawn)


class MovedTeam(MovedState):
    """Everything that a child needs to go on with a team.

    Its second argument is what grows, see `grown`.

    Attributes:
        team: Which, as it was asked.
        job: What it is to do; the turns have its input.
        timeout: The longest one call of a member may take; None for the member's own.
        catalog: What its members need.
        first: The number of the child's first turn; those before it are in the parent's ledger.
        taken: How many turns had been begun when this run began.
        played: The turns; empty on the way.
        outcomes: What came of them beside their answers; empty on the way.

    The others are those of `MovedState`.
    """

    team: AgentEntry
    job: Assignment
    timeout: Timeout | None = None
    catalog: Catalog
    first: int
    taken: int
    played: TeamState = TeamState()
    outcomes: dict[int, TurnOutcome] = Field(default_factory=dict)

    @staticmethod
    def grown(played: TeamState, outcomes: Mapping[int, AgentOutcome]) -> dict[str, Any]:
        """Returns the second argument."""
        packed = {number: TurnOutcome.of(outcome) for number, outcome in outcomes.items()}
        return {
            "played": played.model_dump(mode="json", exclude_defaults=True),
            "outcomes": {
                number: outcome.model_dump(mode="json", exclude_defaults=True)
                for number, outcome in packed.items()
            },
        }


class TeamAnswer(MovedAnswer):
    """What the child has to say in the end: how far the team is, and what only the parent can do now.

    Attributes:
        turns: The child's turns.
        outcomes: What came of them beside their answers.
        undo: Where turns are to be undone that are not the child's, or not only.
        give: Where the team has its answer, and the losers are still to be undone.
        limit: Where a limit is reached.
        fail: Where the team cannot answer.

    Exactly one of the last four is set. The others are those of `MovedAnswer`.
    """

    turns: tuple[Turn, ...] = ()
    outcomes: dict[int, TurnOutcome] = Field(default_factory=dict)
    undo: UndoTurns | None = None
    give: GiveAnswer | None = None
    limit: ReachLimit | None = None
    fail: FailTeam | None = None

    @classmethod
    def of(
        cls, move: Move, turns: tuple[Turn, ...], outcomes: Mapping[int, AgentOutcome], **told: Any
    ) -> Self:
        """Packs what the parent has to do, and the child's turns."""
        known = {
            turn.number: TurnOutcome.of(outcomes[turn.number]) for turn in turns if turn.number in outcomes
        }
        return cls(
            turns=turns,
            outcomes=known,
            undo=move if isinstance(move, UndoTurns) else None,
            give=move if isinstance(move, GiveAnswer) else None,
            limit=move if isinstance(move, ReachLimit) else None,
            fail=move if isinstance(move, FailTeam) else None,
            **told,
        )

    @property
    def move(self) -> UndoTurns | GiveAnswer | ReachLimit | FailTeam:
        """What the parent has to do."""
        move = self.undo or self.give or self.limit or self.fail
        assert move is not None
        return move


def unpacked(turns: Iterable[Turn], outcomes: Mapping[int, TurnOutcome]) -> dict[int, AgentOutcome]:
    """Unpacks what came of turns, by number."""
    return {
        turn.number: outcomes[turn.number].unpacked(turn.output) for turn in turns if turn.number in outcomes
    }
