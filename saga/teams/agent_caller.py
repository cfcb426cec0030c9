"""Lets any agent do a job: a model, Python code, or a team."""

from __future__ import annotations

from typing import Any

from ..agents.agent_outcome import AgentOutcome
from ..agents.agent_runner import AgentRunner
from ..agents.assignment import Assignment
from ..agents.foreign.process_agents import ProcessAgents
from ..agents.toolbox import MakePivot
from ..calls.call import Call, as_json
from ..calls.caller import Caller
from ..calls.reset_gate import ResetGate
from ..calls.rollback import Rollback
from ..calls.timeouts_and_retries import MODEL_RETRY
from ..errors import FailureType
from ..failure import Failed, Failure
from ..people.questions import Questions
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, Catalog
from ..spec.json_schema import check_input, in_short
from ..spec.rules.team_rules import MAX_DEPTH
from ..spec.teams.handoffs import Handoffs
from ..spec.timeout import Limit
from ..temporal.stop_scope import StopScope
from .effort.importance import as_score
from .effort.rating import TeamRating, TeamStart
from .handoff_caller import HandoffCaller
from .handoffs import HandoffPlanner
from .long.long_teams import LongTeams
from .member_caller import MemberCaller
from .planners import planner_of
from .router.consultant import Consultant
from .team_run import TeamRun

TOLD = "team"
"""The parameter in which an agent of Python code gets what a team, or another agent, tells it."""


class AgentCaller:
    """Lets the agents of one task do jobs."""

    def __init__(
        self,
        models: AgentRunner,
        processes: ProcessAgents,
        record: TaskRecord,
        caller: Caller,
        rollback: Rollback,
        questions: Questions,
        catalog: Catalog,
        reset_gate: ResetGate,
        long: LongTeams,
        consultant: Consultant,
        task_input: Any,
        engine: int,
    ) -> None:
        """Prepares to let the agents of one task do jobs.

        Args:
            models: Runs those that language models play.
            processes: Runs those that are processes.
            record: The task's record.
            caller: Calls those that are Python code.
            rollback: Undoes what losing or failed members of teams did.
            questions: Asks people who play in teams.
            catalog: The part of the catalog that the task's snapshot holds.
            reset_gate: Gives calls another round where a reset has lost their undo.
            long: Carries long teams on in child workflows.
            consultant: Asks what is not a member of a team.
            task_input: The task's input, which the numbers of teams may read; None where there is none.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self._models = models
        self._processes = processes
        self._record = record
        self._caller = caller
        self._rollback = rollback
        self._questions = questions
        self._catalog = catalog
        self._reset_gate = reset_gate
        self._long = long
        self._consultant = consultant
        self._task_input = task_input
        self._engine = engine

    async def run(
        self,
        agent: AgentEntry,
        job: Assignment,
        scope: StopScope,
        timeout: Limit | None = None,
        pivot: MakePivot | None = None,
    ) -> AgentOutcome:
        """Lets an agent do a job.

        Args:
            agent: Who does it.
            job: What is to be done.
            scope: The part of the task that it belongs to.
            timeout: The longest one call may take; None for the agent's own.
            pivot: See `AgentRunner.run`.

        Returns:
            The answer, with the evidence.

        Raises:
            Failed: The job has failed. What was done for it stands, unless it was another member's of a team:
                the caller undoes what is in the ledger under the path of the job.
            Stopped: The scope was stopped.
        """
        if agent.team is not None:
            return await self._play(agent, job, scope, timeout)
        if agent.python:
            return await self._call(agent, job, scope, timeout)
        if agent.process is not None:
            return await self._processes.run(agent, job, scope, timeout)
        if agent.handoffs:
            return await self._converse(agent, job, scope, timeout)
        return await self._models.run(agent, job, scope, timeout, pivot, delegate=self.run)

    async def _play(
        self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: Limit | None
    ) -> AgentOutcome:
        assert agent.team is not None
        if job.depth > MAX_DEPTH:
            message = f"{MAX_DEPTH} agents and teams are inside of each other already"
            raise Failed(Failure(step=job.step, type=FailureType.CAP_REACHED, message=message))
        faults = check_input(agent.input_schema, job.input)
        if faults:
            message = f"{agent.name}: {in_short(faults)}"
            raise Failed(
                Failure(step=job.step, type=FailureType.INVALID_INPUT, message=message), not_applied=True
            )
        members = self.members_of(agent, job, timeout)
        start = TeamStart(agent)
        if not agent.team.is_settled:
            start = await TeamRating(agent, job, members, self._record, self._task_input).start(scope)
            members = self.members_of(start.team, job, timeout)
        assert start.team.team is not None
        team = TeamRun(
            start.team,
            job,
            planner_of(start.team.team, self._catalog, self._engine),
            members,
            self._record,
            self._rollback,
            state=start.state,
            outcomes=start.outcomes,
        )
        outcome = await team.run(scope, self._long, timeout)
        if team.importance:
            agents = {key: start.team.team.member(key) for key in team.importance}
            scores = {key: as_score(part, len(agents)) for key, part in team.importance.items()}
            await self._consultant.report_importance(scores, agents, job)
        return outcome

    def members_of(self, team: AgentEntry, job: Assignment, timeout: Limit | None) -> MemberCaller:
        """Returns what asks the members of a team.

        Args:
            team: Which.
            job: What the team is to do.
            timeout: The longest that one call of a member may take; None for the member's own.
        """
        return MemberCaller(
            team,
            job,
            self._record,
            self._questions,
            self._catalog,
            self._reset_gate,
            self.run,
            timeout,
            self._consultant,
        )

    async def _converse(
        self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: Limit | None
    ) -> AgentOutcome:
        """Lets an agent begin a conversation that it may hand over."""
        terms = Handoffs(
            members=tuple(self._catalog.in_conversation(agent)),
            max_handoffs=agent.max_handoffs,
            on_limit=None if agent.on_limit == "wait" else agent.on_limit,
        )
        team = agent.model_copy(update={"team": terms})
        members = HandoffCaller(
            team,
            job,
            self._record,
            self._questions,
            self._catalog,
            self._reset_gate,
            self.run,
            timeout,
            models=self._models,
            caller=self._caller,
        )
        run = TeamRun(team, job, HandoffPlanner(terms), members, self._record, self._rollback)
        # Its one conversation goes on in a child where it is long, whoever has it.
        return await run.run(scope, None, timeout)

    async def _call(
        self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: Limit | None
    ) -> AgentOutcome:
        call = Call.of(
            agent,
            _with_told(agent, job),
            step=job.step,
            path=job.path,
            summary=(job.label or job.path)[:200],
            depends_on=job.depends_on,
            round=job.round,
            timeout=timeout,
            retry=None if job.retry == MODEL_RETRY else job.retry,
            task_queue=job.task_queue,
        )
        output = as_json(await self._caller.call(call, scope))
        faults = check_input(agent.output_schema, output, "output")
        if faults:  # what was declared was checked where it ran; a team may ask for something else
            message = f"{agent.name}: {in_short(faults)}"
            raise Failed(Failure(step=job.step, type=FailureType.INVALID_OUTPUT, message=message))
        return AgentOutcome(output=output)


def _with_told(agent: AgentEntry, job: Assignment) -> Any:
    """Returns the input, with what the agent is told where it has a place for that."""
    has_place = TOLD in agent.parameters or TOLD in agent.input_schema.get("properties", {})
    if not has_place or not isinstance(job.input, dict):
        return job.input
    return {**job.input, TOLD: dict(job.say or {})}
