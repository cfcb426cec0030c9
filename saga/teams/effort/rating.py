"""The start of a team whose numbers are known only then: its job is rated, and they are set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...agents.agent_outcome import AgentOutcome
from ...agents.assignment import Assignment
from ...errors import ExpressionError, FailureType
from ...failure import Failed, Failure, Stopped, trim
from ...record.no_way_on import is_no_way_on
from ...record.task_record import TaskRecord
from ...record.team_log import STOPPED
from ...spec.catalog import AgentEntry
from ...spec.teams.member import key_of
from ...spec.teams.pattern import DIFFICULTY
from ...temporal.stop_scope import StopScope
from ..forms import form, unusable
from ..member_caller import MemberCaller
from ..moves import MemberCall
from ..state import TeamState, Turn, TurnState
from .settling import difficulty_by_rule, settle

RATING = form(difficulty={"type": "number", "minimum": 0, "maximum": 1})
"""JSON Schema of what the agent says that rates a job."""

PLEASE = (
    "Rate how difficult this job is, and do not do it: 0 for the easiest, 1 for the hardest you can think of."
)


class TeamStart(NamedTuple):
    """A team that can begin.

    Attributes:
        team: With its numbers.
        state: With the turn that has rated the job; None where there was none.
        outcomes: What came of it, by number.
    """

    team: AgentEntry
    state: TeamState | None = None
    outcomes: Mapping[int, AgentOutcome] | None = None


class TeamRating:
    """Sets the numbers of one team."""

    def __init__(
        self, team: AgentEntry, job: Assignment, members: MemberCaller, record: TaskRecord, task: Any
    ) -> None:
        """Prepares to set them.

        Args:
            team: The team as it is declared.
            job: What it is to do.
            members: Asks the one who rates the job.
            record: The task's record.
            task: The task's input.
        """
        assert team.team is not None
        self._team = team
        self._pattern = team.team
        self._job = job
        self._members = members
        self._record = record
        self._scope: dict[str, Any] = {"task": {} if task is None else task, **(job.reads or {})}
        self._scope["input"] = job.input

    async def start(self, scope: StopScope) -> TeamStart:
        """Rates the job where an agent does that, and sets the numbers.

        Args:
            scope: The part of the task that it belongs to.

        Raises:
            Failed: The job was not rated, or a number cannot be.
            Stopped: The scope was stopped.
        """
        state = TeamState(input=self._job.input)
        outcomes: dict[int, AgentOutcome] = {}
        try:
            difficulty = difficulty_by_rule(self._pattern, self._scope)
            if self._pattern.rater is not None:
                turn, outcomes[1] = await self._rate(self._pattern.rater, scope)
                state = state.begin(turn)
                difficulty = turn.output[DIFFICULTY]
            settled = settle(self._pattern, self._scope, difficulty)
        except ExpressionError as error:
            raise self._failed(FailureType.EXPRESSION, f"{self._team.name}: {error}") from None
        rated = "" if difficulty is None else f"difficulty {difficulty:g}"
        said = "; ".join(f"{path}: {source}" for path, source in self._pattern.effort().items())
        what = f"{rated}: {settled.said}" if rated else settled.said
        who = self._pattern.rater or self._team.name
        self._record.log.decide("effort", what, self._job.step, said, who=who, call=self._job.path)
        team = self._team.model_copy(update={"team": settled.team})
        return TeamStart(team, state, outcomes)

    async def _rate(self, who: str, scope: StopScope) -> tuple[Turn, AgentOutcome]:
        turn = Turn(number=1, member=key_of(who), purpose=DIFFICULTY)
        call = MemberCall(
            turn.member,
            DIFFICULTY,
            reason="rates how difficult the job is",
            say={"please": PLEASE},
            schema=RATING,
            stage=DIFFICULTY,
        )
        path, teams = self._members.path_of(turn), self._record.teams
        pattern = self._pattern.pattern
        teams.decide(
            "spawn",
            team=self._job.path,
            pattern=pattern,
            reason=call.reason,
            call=path,
            member=turn.member,
            said=call.say,
        )
        self._record.log.add(turn.member, f"{pattern}: spawn", self._job.step, call.reason)
        try:
            outcome = await self._members.ask(turn, call, self._job.depends_on, scope)
        except Stopped as stopped:
            teams.end(path, STOPPED, str(stopped))
            raise
        except Failed as failed:
            teams.end(path, TurnState.FAILED, failed.failure.message)
            if scope.stopped or failed.ends_step or is_no_way_on(self._record, failed, self._job.path):
                raise
            raise self._not_rated(who, failed.failure.message) from None
        turn = turn.model_copy(update={"state": TurnState.ANSWERED, "output": outcome.output})
        wrong = unusable(turn, RATING)
        teams.end(path, TurnState.FAILED if wrong else TurnState.ANSWERED, wrong or "")
        if wrong is not None:
            raise self._not_rated(who, wrong)
        return turn, outcome

    def _not_rated(self, who: str, why: str) -> Failed:
        message = f"{self._team.name}: {who} has not rated how difficult the job is: {why}"
        return self._failed(FailureType.TEAM_FAILED, message)

    def _failed(self, type_: str, message: str) -> Failed:
        return Failed(Failure(step=self._job.step, type=type_, message=trim(message)))
