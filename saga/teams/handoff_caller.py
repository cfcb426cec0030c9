"""Gives a conversation to one agent after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..agents.agent_outcome import AgentOutcome
from ..agents.agent_runner import AgentRunner
from ..agents.assignment import Assignment
from ..agents.delegates import RunAgent
from ..agents.earlier_calls import EarlierCalls
from ..agents.model_protocol import HANDED_OVER
from ..agents.thread import Thread
from ..agents.transfers import Transfers, TransferTool
from ..calls.call import Call, as_json
from ..calls.caller import Caller
from ..calls.reset_gate import ResetGate
from ..effect import Effect
from ..limits.usage import ONE_HANDOFF
from ..people.questions import Questions
from ..record.costs_of_calls import count_calls
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, Catalog
from ..spec.rules.handoff_rules import arguments_of
from ..spec.teams.handoff import Handoff
from ..spec.teams.member import key_of
from ..spec.timeout import Limit
from ..temporal.stop_scope import StopScope
from ..verdict import Evidence
from .handoffs import ANSWER, TRANSFER
from .member_caller import MemberCaller
from .moves import MemberCall
from .state import Turn
from .team_run import FINISH


class HandoffCaller(MemberCaller):
    """Gives the conversation of one agent to those to whom it is handed over."""

    def __init__(
        self,
        team: AgentEntry,
        job: Assignment,
        record: TaskRecord,
        questions: Questions,
        catalog: Catalog,
        reset_gate: ResetGate,
        run: RunAgent,
        timeout: Limit | None,
        *,
        models: AgentRunner,
        caller: Caller,
    ) -> None:
        """Prepares a conversation.

        Args:
            team: The agent that begins, as the team of those who may take over.
            job: What it is to do.
            record: See `MemberCaller`, as for all that is not explained here.
            questions: See there.
            catalog: See there.
            reset_gate: See there.
            run: See there.
            timeout: See there.
            models: Holds the conversation.
            caller: Calls what is called at a handoff.
        """
        super().__init__(team, job, record, questions, catalog, reset_gate, run, timeout)
        self._first = team.model_copy(update={"team": None})
        self._models = models
        self._caller = caller
        self._thread = Thread()
        self._by: Turn | None = None
        self._handoff: Handoff | None = None

    async def ask(
        self, turn: Turn, call: MemberCall, depends_on: frozenset[str], scope: StopScope
    ) -> AgentOutcome:
        """Gives the conversation to a member; returns and raises as `MemberCaller.ask`.

        The output is an object that has the answer, or says to whom it is handed over; where the member has
        to answer, it is the answer.
        """
        path, thread = self.path_of(turn), self._thread
        agent = self._agent(turn.member)
        before, by = thread.transfer, self._by
        if turn.purpose == FINISH:
            thread.hand_back(agent.name, f"You have to answer now: {_json(call.say)}")
        elif by is not None:
            self._show(by, agent)
        job = Assignment(
            step=self._job.step,
            path=path,
            round=await self._reset_gate.round_at(path, self._job.round, self._job.step, scope),
            input=self._job.input,
            depends_on=depends_on,
            compensation=self._job.compensation if agent is self._first else agent.compensate,
            retry=self._job.retry,
            task_queue=self._job.task_queue,
            feedback=self._job.feedback,
            say=self._job.say,
            label=self._label(call),
            depth=self._job.depth,
        )
        evidence: list[Evidence] = []
        if by is not None and before is not None and turn.purpose != FINISH:
            await self._caller.counted.expect_room(self._job.step, path, scope, ONE_HANDOFF)
            count_calls(self._record, self._job.step, path, ONE_HANDOFF)
            job, evidence = await self._at_handoff(by, before.arguments, job, scope)
        as_first = agent.model_copy(update={"output_schema": self._first.output_schema})
        if not agent.is_model:
            assert before is not None
            given = replace(job, input=before.arguments, depth=job.depth + 1)
            outcome = await self._run(as_first, given, scope, self._timeout)
            return replace(outcome, output={ANSWER: outcome.output}, evidence=[*evidence, *outcome.evidence])
        if agent is not self._first:  # it has a conversation in place of its own input
            as_first = as_first.model_copy(update={"input_schema": {}})
        thread.transfers = Transfers(() if turn.purpose == FINISH else self._transfers(agent, by))
        outcome = await self._models.run(
            as_first, job, scope, self._timeout, delegate=self._run, thread=thread
        )
        evidence += outcome.evidence
        if turn.purpose == FINISH:
            return replace(outcome, evidence=evidence)
        if thread.transfer is None:
            return replace(outcome, output={ANSWER: outcome.output}, evidence=evidence)
        self._by = turn
        handed = thread.transfer.model_dump(mode="json", exclude={"summary"})
        return replace(outcome, output={TRANSFER: handed}, evidence=evidence)

    def _agent(self, key: str) -> AgentEntry:
        name = self._pattern.member(key)
        assert isinstance(name, str)
        return self._first if name == self._first.name else self._catalog.agents[name]

    # --- handoffs

    def _transfers(self, agent: AgentEntry, by: Turn | None) -> list[TransferTool]:
        """Returns to whom an agent may hand over: those that it names, and those that it may hand back to."""
        tools = {handoff.key: self._tool(handoff) for handoff in agent.handoffs}
        for key in self._givers(agent, by):
            description = f"Hands the conversation back to {key}, who had it before you."
            back = Handoff(to=self._agent(key).name, description=description)
            tools.setdefault(key, self._tool(back))
        return list(tools.values())

    def _givers(self, agent: AgentEntry, by: Turn | None) -> list[str]:
        found = [key_of(self._first.name)] if self._first.returns and agent is not self._first else []
        if by is not None and self._handoff is not None and self._handoff.returns:
            found.append(by.member)
        return found

    def _tool(self, handoff: Handoff) -> TransferTool:
        target = self._agent(handoff.key)
        said = handoff.description or target.description
        return TransferTool(
            to=handoff.key,
            description=f"Hands the whole conversation over to {handoff.key}, who goes on with it. {said}",
            parameters=handoff.parameters() if target.is_model else target.input_schema,
            sums_up=handoff.filter == "summary",
        )

    def _declared(self, by: Turn, to: AgentEntry) -> Handoff | None:
        """Returns what was declared of a handoff; None where somebody hands back."""
        return next((h for h in self._agent(by.member).handoffs if h.to == to.name), None)

    def _show(self, by: Turn, to: AgentEntry) -> None:
        """Shows the conversation to the one who takes over."""
        transfer = self._thread.transfer
        assert transfer is not None
        self._handoff = self._declared(by, to)
        note = f"{by.member} {HANDED_OVER}: {_json(transfer.arguments)}"
        if transfer.summary:
            note += f"\n\nWhat was said and done before: {transfer.summary}"
        if self._handoff is None:
            self._thread.hand_back(to.name, note)
        else:
            self._thread.hand_to(self._handoff.filter, note)

    async def _at_handoff(
        self, by: Turn, metadata: Mapping[str, Any], job: Assignment, scope: StopScope
    ) -> tuple[Assignment, list[Evidence]]:
        """Calls what is called at a handoff, before the one who takes over is asked."""
        handoff, earlier = self._handoff, self._thread.earlier
        if handoff is None or handoff.on_handoff is None:
            return job, []
        tool = self._catalog.tools[handoff.on_handoff]
        arguments = arguments_of(tool, handoff, metadata)
        changes = tool.effect is not Effect.READ_ONLY
        key = EarlierCalls.key(tool, arguments)
        if changes and tool.repeats != "allow" and earlier.result(key) is not None:
            return job, []
        call = Call.of(
            tool,
            arguments,
            step=job.step,
            path=f"{job.path}/on_handoff",
            summary=f"{by.member} hands over to {handoff.key}: {tool.name}"[:200],
            depends_on=job.depends_on,
            round=job.round,
            task_queue=job.task_queue,
            agent=self._agent(by.member).name,
        )
        executed = await self._caller.execute(call, scope)
        result = as_json(executed.result)
        if changes:
            self._thread.seen.forget()
            made = {key, EarlierCalls.key(tool, executed.call.input)}
            earlier.succeed(sorted(made), "", _json(result))
        evidence = Evidence(tool=tool.name, arguments=executed.call.input, result=result)
        if executed.call.compensation is None:
            return job, [evidence]
        return replace(job, depends_on=job.depends_on | {executed.call.id}), [evidence]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
