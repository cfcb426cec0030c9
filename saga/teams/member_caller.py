"""Asks one member of a team: an agent, or a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..agents.agent_outcome import AgentOutcome
from ..agents.assignment import Assignment
from ..agents.delegates import RunAgent
from ..calls.reset_gate import ResetGate
from ..errors import FailureType
from ..failure import Failed, Failure
from ..people.questions import Check, Questions, fits
from ..people.terms import Terms
from ..people.updates import NobodyAnswered
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, Catalog
from ..spec.json_schema import as_field
from ..spec.teams.member import ANSWER, Person
from ..spec.timeout import Limit
from ..temporal.stop_scope import StopScope
from .moves import OUTPUT, Comparison, Draw, MemberCall, ReachLimit
from .router.consultant import Consultant
from .state import Turn

MEMBER: Final = "member"
"""The kind of the questions to people who play in a team."""


class Supplied(NamedTuple):
    """What a person has supplied in place of a team's answer.

    Attributes:
        value: The answer.
        by: Who that was.
    """

    value: Any
    by: str


class MemberCaller:
    """Asks the members of one team."""

    def __init__(
        self,
        team: AgentEntry,
        job: Assignment,
        record: TaskRecord,
        questions: Questions,
        catalog: Catalog,
        reset_gate: ResetGate,
        run: RunAgent,
        timeout: Limit | None = None,
        consultant: Consultant | None = None,
    ) -> None:
        """Prepares to ask the members of a team.

        Args:
            team: The team.
            job: What the team is to do.
            record: The task's record.
            questions: Asks people.
            catalog: Has the agents.
            reset_gate: Gives a turn another round where a reset has lost its undo.
            run: Lets an agent do a job.
            timeout: The longest that one call of a member may take; None for the member's own.
            consultant: Asks services; None where the team asks none.
        """
        assert team.team is not None
        self._team = team
        self._pattern = team.team
        self._job = job
        self._record = record
        self._questions = questions
        self._catalog = catalog
        self._reset_gate = reset_gate
        self._run = run
        self._timeout = timeout
        self._consultant = consultant

    def path_of(self, turn: Turn) -> str:
        """Returns the place of a turn in the task, ``TEAM/MEMBER.N``."""
        return f"{self._job.path}/{turn.member}.{turn.number}"

    async def ask(
        self, turn: Turn, call: MemberCall, depends_on: frozenset[str], scope: StopScope
    ) -> AgentOutcome:
        """Asks a member.

        Args:
            turn: Its turn.
            call: What it is asked.
            depends_on: The ledger entries that the turn builds on.
            scope: What it is stopped with.

        Returns:
            What came of it.

        Raises:
            Failed: There is no answer that can be used; what was done for it stands.
            Stopped: The scope was stopped.
        """
        path = self.path_of(turn)
        if call.service is not None:
            return await self._ask_service(call.service, path, call, scope)
        told = {**(self._job.say or {}), **(call.say or {})}
        if call.schema is not None:  # an agent in Python code has to tell what it is asked for
            told["purpose"] = call.purpose
        if call.introduces:
            told["members"] = {key: self._description(key) for key in call.introduces}
        member = self._pattern.member(turn.member)
        if isinstance(member, Person):
            return await self._ask_person(member, path, call, told, scope)
        agent = self._catalog.agents[member]
        changes: dict[str, Any] = {}
        form = self._form(call, agent)
        if form is not None:
            changes["output_schema"] = form
        if call.temperature is not None:
            changes["temperature"] = call.temperature
            if agent.seed is not None:  # with one seed all samples of a member would be the same
                changes["seed"] = (agent.seed + turn.number) % 2**31
        job = Assignment(
            step=self._job.step,
            path=path,
            round=await self._reset_gate.round_at(path, self._job.round, self._job.step, scope),
            input=self._job.input,
            depends_on=depends_on,
            compensation=agent.compensate,
            retry=self._job.retry,
            task_queue=self._job.task_queue,
            feedback=self._job.feedback,
            say=told or None,
            label=self._label(call),
            depth=self._job.depth + 1,
        )
        player = agent.model_copy(update=changes) if changes else agent
        if not call.drawn:
            return await self._run(player, job, scope, self._timeout)
        assert self._consultant is not None
        try:
            outcome = await self._run(player, job, scope, self._timeout)
        except Failed as failed:
            await self._consultant.report_failure(failed, agent.name, path, job.round)
            raise
        return self._consultant.with_draw(outcome, agent.name, path, job.round)

    async def _ask_service(
        self, service: Comparison | Draw, path: str, call: MemberCall, scope: StopScope
    ) -> AgentOutcome:
        assert self._consultant is not None
        if isinstance(service, Comparison):
            label = self._label(call)
            return await self._consultant.compare(service, self._team.name, self._job, path, label, scope)
        members = {key: self._pattern.member(key) for key in service.members}
        agents = {key: member for key, member in members.items() if isinstance(member, str)}
        return await self._consultant.draw(service, agents, self._job, path)

    def _label(self, call: MemberCall) -> str:
        team = self._team.name.rpartition(".")[2]
        return f"{team} {call.stage}: {call.member}" if call.stage else f"{team}: {call.member}"

    def _description(self, key: str) -> str:
        member = self._pattern.member(key)
        return member.ask if isinstance(member, Person) else self._catalog.agents[member].description

    def _form(self, call: MemberCall, agent: AgentEntry) -> Mapping[str, Any] | None:
        """Returns what an agent's answer has to fit in place of what it declares, if anything."""
        schema = self._schema(call)
        if call.beside is None:
            return schema
        if agent.python:  # it has one type, whatever it is asked
            return None
        return as_field(schema or agent.output_schema, OUTPUT, call.beside)

    def _schema(self, call: MemberCall) -> Mapping[str, Any] | None:
        """Returns what a member's answer has to fit; None for what it declares itself."""
        if call.schema is not None or not call.final or not self._team.output_schema:
            return call.schema
        return self._pattern.member_schema(self._team.output_schema) or None

    async def _ask_person(
        self, person: Person, path: str, call: MemberCall, told: Mapping[str, Any], scope: StopScope
    ) -> AgentOutcome:
        schema = self._schema(call) or ANSWER
        answer = await self._questions.ask(
            path,
            MEMBER,
            person.ask,
            {"answer": fits(as_field(schema, OUTPUT, call.beside) if call.beside else schema)},
            scope,
            show={"input": self._job.input, **told},
            terms=Terms.of_asking(person, "no_answer"),
        )
        if isinstance(answer, NobodyAnswered):
            message = f"{person.name} has not answered in time"
            raise Failed(Failure(step=self._job.step, type=FailureType.TIMEOUT, message=message))
        return AgentOutcome(output=answer.value)

    async def ask_about_limit(self, limit: ReachLimit, check: Check, scope: StopScope) -> Supplied | None:
        """Asks a person what is to become of a team that has reached a limit.

        Args:
            limit: Which, with what there is.
            check: Of the answer that the person may supply.
            scope: A stop ends the wait.

        Returns:
            The answer that the person has supplied; None to let the team fail.

        Raises:
            Stopped: The scope was stopped first.
        """
        answer = await self._questions.ask(
            self._job.path,
            "escalated",
            f"{self._team.name}: {limit.message}; what now?",
            {"supply": check, "rollback": None},
            scope,
            show={"input": self._job.input, **limit.say},
        )
        return Supplied(answer.value, answer.by) if answer.action == "supply" else None
