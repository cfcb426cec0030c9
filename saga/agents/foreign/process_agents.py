"""Agents that are processes: each run of one is a child workflow, whose history has its calls."""

from __future__ import annotations

from dataclasses import replace

from ...calls.timeouts_and_retries import DEFAULT_TIMEOUT
from ...children.child_call import ChildCall
from ...children.moving import Moving
from ...effect import Effect
from ...errors import FailureType
from ...failure import Failed, Failure, trim
from ...history_format import PROCESS_AGENT
from ...ledger.call_id import CallId
from ...limits.budget import Budget
from ...record.task_record import TaskRecord
from ...spec.catalog import AgentEntry, Catalog
from ...spec.json_schema import check_input, in_short
from ...spec.timeout import Limit, time_for
from ...temporal.stop_scope import StopScope
from ..agent_outcome import AgentOutcome
from ..assignment import Assignment, GuardJob
from ..own_entry import own_entry, own_limits
from .process_state import GIVEN, ProcessAnswer, ProcessState

PROCESS = "process"
"""The last part of the path of the child workflow."""


class ProcessAgents:
    """Runs the process agents of one task."""

    def __init__(
        self, record: TaskRecord, moving: Moving, catalog: Catalog, root_key: str, guard: GuardJob
    ) -> None:
        """Prepares to run the process agents of one task.

        Args:
            record: The task's record.
            moving: Runs the children.
            catalog: The task's snapshot.
            root_key: See `idempotency_key`.
            guard: Every job passes it before its process is started.
        """
        self._record = record
        self._moving = moving
        self._catalog = catalog
        self._root_key = root_key
        self._guard = guard

    async def run(
        self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: Limit | None = None
    ) -> AgentOutcome:
        """Lets a process agent do a job.

        Args:
            agent: Who does it.
            job: What is to be done.
            scope: The part of the task that it belongs to; a stop cancels the child, which rolls back.
            timeout: The longest that one process may run; None for the agent's own.

        Returns:
            The answer, with the evidence.

        Raises:
            Failed: The input does not fit, the process has failed, or a limit was reached; what the child did
                is undone.
            Stopped: The scope was stopped.
        """
        scope.check(job.step)
        if faults := check_input(agent.input_schema, job.input):
            message = f"{agent.name}: {in_short(faults)}"
            raise Failed(self._failure(job, FailureType.INVALID_INPUT, message), not_applied=True)
        await self._guard(agent, job, scope)
        record = self._record
        record.arm(own_entry(job, self._root_key))
        with own_limits(record, agent, job):
            try:
                child = self._child(agent, job, timeout)
                answer = ProcessAnswer.model_validate(await self._moving.call(child, agent.name, scope))
                if faults := check_input(agent.output_schema, answer.output, "output"):
                    message = f"{agent.name}: {in_short(faults)}"
                    raise Failed(self._failure(job, FailureType.INVALID_OUTPUT, message))
            except BaseException:
                record.settle(job.id)
                raise
        record.settle(job.id, answer.output)
        id_ = CallId.parse(child.id)
        evidence = [call.executed(record.ledger, id_).evidence for call in answer.calls]
        return AgentOutcome(answer.output, evidence, frozenset(answer.models), bool(answer.degraded))

    def _child(self, agent: AgentEntry, job: Assignment, timeout: Limit | None) -> ChildCall:
        tools, others = self._catalog.tools_of(agent), self._catalog.asked_by(agent)
        state = ProcessState(
            **self._moving.given(job.path, (*tools, *others.tools.values()), others.agents.values()),
            agent=agent,
            asked=self._catalog.models_of(agent),
            tools=tools,
            compensations=self._catalog.undos_of(tools),
            others=others,
            job=replace(job, input=None, depends_on=frozenset()),
            timeout=time_for(timeout or agent.timeout, [agent.name]) or DEFAULT_TIMEOUT,
            budget=Budget(),  # like any child it gets a part of the budget, and asks for more
        )
        return ChildCall(
            step=job.step,
            path=CallId(job.path).within(PROCESS).path,
            round=job.round,
            workflow=PROCESS_AGENT,
            input=state.as_json(),
            depends_on=job.depends_on | {job.id},
            effect=Effect.COMPENSATABLE,
            timeout=None,
            task_queue=job.task_queue,
            ends_undone=True,
            further=({GIVEN: job.input},),
            knows_approvals=True,
        )

    @staticmethod
    def _failure(job: Assignment, type_: FailureType, message: str) -> Failure:
        return Failure(step=job.step, type=type_, message=trim(message))
