"""The agents that an agent may ask like tools: each does its job in a context of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self

from ..calls.rollback import Rollback
from ..failure import Failed, Stopped
from ..history_format import RETRACT
from ..record.no_way_on import is_no_way_on
from ..record.task_record import TaskRecord
from ..record.team_log import DELEGATES, STOPPED, Operation
from ..spec.catalog import AgentEntry, Catalog
from ..spec.json_schema import check_input, in_short
from ..spec.rules.team_rules import MAX_DEPTH
from ..spec.timeout import Limit
from ..temporal.stop_scope import StopScope
from ..verdict import Evidence
from .agent_outcome import AgentOutcome
from .assignment import Assignment
from .model_names import by_model_name, taken_names
from .model_protocol import WAYS_OUT, ToolCall, ToolSchema
from .transfers import Transfers


class RunAgent(Protocol):
    """Lets any agent do a job: a model, Python code, or a team."""

    async def __call__(
        self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: Limit | None = None
    ) -> AgentOutcome:
        """Returns what came of it; raises `Failed`, with nothing undone, or `Stopped`.

        The timeout is the longest that one call may take; None for the agent's own.
        """


@dataclass(frozen=True, slots=True)
class Delegated:
    """What came of one job that an agent has given to another.

    Attributes:
        outcome: None where it has failed, or was not begun.
        error: Why, in words for the model.
        evidence: The call; None where nothing was begun.
        entries: The ledger entries of what was done, which stand.
        changed: Whether anything was done that giving up would undo.
    """

    outcome: AgentOutcome | None = None
    error: str = ""
    evidence: Evidence | None = None
    entries: frozenset[str] = frozenset()
    changed: bool = False


class Delegates:
    """The agents among the tools of one agent.

    Attributes:
        agents: The agents, by what the model calls them.
        names: What the model calls them.
        have_effects: Whether one of them has done what giving up would undo.
    """

    def __init__(
        self,
        agents: Iterable[AgentEntry],
        job: Assignment,
        record: TaskRecord,
        rollback: Rollback,
        run: RunAgent,
        taken: Collection[str] = (),
    ) -> None:
        """Offers agents to an agent.

        Args:
            agents: Which.
            job: What the agent that asks them does itself.
            record: The task's record.
            rollback: Undoes what they did where they fail.
            run: Lets them do a job.
            taken: What else the model is offered by a name that cannot be changed.
        """
        self.agents = by_model_name(agents, WAYS_OUT.union(taken))
        self._job = job
        self._record = record
        self._rollback = rollback
        self._run = run
        self._asked: set[str] = set()
        self.names = frozenset(self.agents)
        self.have_effects = False

    @classmethod
    def of(
        cls,
        agent: AgentEntry,
        catalog: Catalog,
        job: Assignment,
        record: TaskRecord,
        rollback: Rollback,
        run: RunAgent,
        transfers: Transfers | None = None,
    ) -> Self | None:
        """Returns the agents among the tools of an agent; None where there are none.

        Args:
            agent: Whose.
            catalog: Has them.
            job: See `__init__`, as for the others.
            record: See there.
            rollback: See there.
            run: See there.
            transfers: To whom the agent may hand its conversation over; None for nobody.
        """
        names = (name for name in agent.tools if name not in catalog.tools)
        others = [catalog.agents[name] for name in names if name in catalog.agents]
        return cls(others, job, record, rollback, run, taken_names(agent, transfers)) if others else None

    def offered(self) -> list[ToolSchema]:
        """Returns what the model is shown of them."""
        return [
            ToolSchema(name=name, description=agent.description or agent.name, parameters=agent.input_schema)
            for name, agent in self.agents.items()
        ]

    async def use(
        self, wanted: ToolCall, number: int, built_on: frozenset[str], scope: StopScope
    ) -> Delegated:
        """Gives a job to one of them.

        Args:
            wanted: What the model asks for.
            number: The number of the call in its conversation.
            built_on: The ledger entries that the job builds on.
            scope: The part of the task that it belongs to.

        Returns:
            What came of it; what a failed job did is undone.

        Raises:
            Failed: It failed so that the caller cannot go on, or what it did cannot be undone.
            Stopped: The scope was stopped.
        """
        agent = self.agents[wanted.name]
        if wanted.arguments is None:
            return Delegated(error=wanted.invalid or "the arguments are not a JSON object")
        faults = check_input(agent.input_schema, wanted.arguments)
        if faults:
            return Delegated(error=in_short(faults))
        if self._job.depth + 1 > MAX_DEPTH:
            return Delegated(
                error=f"{MAX_DEPTH} agents are inside of each other already; do it without {wanted.name}"
            )
        path = f"{self._job.path}/{wanted.name}.{number}"
        job = Assignment(
            step=self._job.step,
            path=path,
            round=self._job.round,
            input=wanted.arguments,
            depends_on=built_on,
            compensation=agent.compensate,
            retry=self._job.retry,
            task_queue=self._job.task_queue,
            label=path.replace("/", " / "),
            depth=self._job.depth + 1,
        )
        self._decide(wanted.name, path, wanted.arguments)
        try:
            outcome = await self._run(agent, job, scope)
        except Stopped as stopped:
            self._record.teams.end(path, STOPPED, str(stopped))
            raise
        except Failed as failed:
            self._record.teams.end(path, "failed", failed.failure.message)
            return await self._failed(agent, wanted.arguments, path, failed, scope)
        self._record.teams.end(path, "answered")
        entries = self._record.ledger.under(path)
        changed = self._did_something(entries)
        self.have_effects = self.have_effects or changed
        evidence = Evidence(tool=agent.name, arguments=wanted.arguments, result=outcome.output)
        return Delegated(outcome, evidence=evidence, entries=entries, changed=changed)

    def _decide(self, name: str, path: str, arguments: dict[str, Any]) -> None:
        operation: Operation = "delegate" if name in self._asked else "spawn"
        self._asked.add(name)
        reason = "it is asked like a tool"
        self._record.teams.decide(
            operation,
            team=self._job.path,
            pattern=DELEGATES,
            reason=reason,
            call=path,
            member=name,
            said=arguments,
        )
        self._record.log.add(name, f"{DELEGATES}: {operation}", self._job.step, reason)

    async def _failed(
        self, agent: AgentEntry, arguments: dict[str, Any], path: str, failed: Failed, scope: StopScope
    ) -> Delegated:
        if failed.ends_step or is_no_way_on(self._record, failed, self._job.path):
            raise failed
        failure = failed.failure
        if not await self._rollback.run(str(failure), within=self._record.ledger.under(path), scope=scope):
            raise failed
        evidence = Evidence(tool=agent.name, arguments=arguments, error=failure.message)
        return Delegated(error=f"{failure.type}: {failure.message}", evidence=evidence)

    def _did_something(self, entries: frozenset[str]) -> bool:
        return any(self._record.ledger[entry].compensation != RETRACT for entry in entries)
