"""What model agents do in one task: each job is a conversation, and a long one goes on in a child."""

from __future__ import annotations

import json
from collections.abc import Sequence

from temporalio import workflow

from ..calls.caller import Caller
from ..calls.headers import CallOwner
from ..calls.rollback import Rollback
from ..calls.timeouts_and_retries import DEFAULT_TIMEOUT
from ..errors import FailureType
from ..failure import Failed
from ..limits.payload_size import MAX_PAYLOAD, UNDO_OVERHEAD
from ..people.questions import Questions
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, Catalog
from ..spec.json_schema import check_input, in_short
from ..spec.timeout import Limit, time_for
from ..temporal.stop_scope import StopScope
from ..verdict import Evidence
from .agent_loop import AgentLoop
from .agent_outcome import AgentOutcome
from .ask_person import person_for
from .assignment import Assignment, GuardJob
from .at_limit import AtLimit
from .delegates import Delegates, RunAgent
from .long_conversation import LongConversations
from .model_calls.model_caller import ModelCaller
from .model_protocol import ChatMessage
from .own_entry import own_entry, own_limits
from .thread import Thread
from .toolbox import MakePivot, Toolbox


class AgentRunner:
    """Runs the model agents of one task."""

    def __init__(
        self,
        record: TaskRecord,
        caller: Caller,
        rollback: Rollback,
        models: ModelCaller,
        catalog: Catalog,
        root_key: str,
        long: LongConversations,
        engine: int,
        questions: Questions,
        guard: GuardJob,
    ) -> None:
        """Prepares to run the model agents of one task.

        Args:
            record: The task's record.
            caller: Makes tool calls.
            rollback: Undoes failed tool calls.
            models: Asks models.
            catalog: The part of the catalog that the task's snapshot holds.
            root_key: See `idempotency_key`.
            long: Carries long conversations on in child workflows.
            engine: See `Snapshot`.
            questions: Asks people.
            guard: Every job passes it before a model is asked.
        """
        self._questions = questions
        self._guard = guard
        self._record = record
        self._caller = caller
        self._rollback = rollback
        self._models = models
        self._catalog = catalog
        self._root_key = root_key
        self._long = long
        self._engine = engine

    async def run(
        self,
        agent: AgentEntry,
        job: Assignment,
        scope: StopScope,
        timeout: Limit | None = None,
        pivot: MakePivot | None = None,
        *,
        delegate: RunAgent,
        thread: Thread | None = None,
    ) -> AgentOutcome:
        """Lets an agent do a job.

        Args:
            agent: Who does it.
            job: What is to be done.
            scope: The part of the task that it belongs to.
            timeout: The longest one model call may take; None for the agent's own.
            pivot: Makes the call of the pivot among its tools; None where the step may not be one. Then the
                conversation stays in this workflow, however long it is.
            delegate: Lets the agents among its tools do a job.
            thread: The conversation that others have had before, or will have; None for one of its own.

        Returns:
            The answer, as its output schema wants it, with the evidence; None for an answer where the
            thread has a handoff.

        Raises:
            Failed: The input does not fit, it gave up, needed too many turns or corrections, or a call
                failed.
            Stopped: The scope was stopped.
        """
        scope.check(job.step)
        entry = own_entry(job, self._root_key)
        toolbox = self._toolbox(agent, job, pivot, delegate, thread)
        opening = [*_opening(agent, self._record.goal, job), *(thread.shown if thread is not None else ())]
        turns = thread.turns if thread is not None else 0
        asked = self._catalog.models_of(agent)
        loop = AgentLoop(
            agent=agent,
            job=job,
            asked=asked,
            calls=self._models,
            toolbox=toolbox,
            timeout=time_for(timeout or agent.timeout, asked) or DEFAULT_TIMEOUT,
            messages=opening,
            at_limit=self._at_limit(agent, job),
            owner=CallOwner(id=entry.id, key=entry.key, compensation=entry.compensation),
            engine=self._engine,
        )
        _check(loop)
        await self._guard(agent, job, scope)
        self._record.arm(entry)
        with own_limits(self._record, agent, job):
            try:
                evidence: list[Evidence] = []
                if not await loop.run(scope, lambda: pivot is None and self._long.is_due(loop, turns)):
                    evidence = await self._long.go_on(loop, scope)
                _check_room(loop)
            except BaseException as error:
                self._settle_failed(loop, error)
                raise
            finally:
                self._models.drop(job.path)
        self._record.settle(job.id, loop.output)
        self._record.teams.stop_asking(job.path, f"{agent.name} has answered")
        if thread is not None:
            thread.hear(agent.name, loop.messages[len(opening) :], loop.turn)
        own = [executed.evidence for executed in loop.toolbox.executed]
        models, degraded = frozenset(loop.models), bool(loop.degraded)
        return AgentOutcome(loop.output, [*own, *evidence], models, degraded)

    def _toolbox(
        self,
        agent: AgentEntry,
        job: Assignment,
        pivot: MakePivot | None,
        delegate: RunAgent,
        thread: Thread | None,
    ) -> Toolbox:
        """Returns what the agent may call: tools, other agents, a person, and to whom it may hand over."""
        transfers = thread.transfers if thread is not None else None
        delegates = Delegates.of(agent, self._catalog, job, self._record, self._rollback, delegate, transfers)
        return Toolbox(
            agent.name,
            self._catalog.tools_of(agent),
            job,
            self._record,
            self._caller,
            self._rollback,
            built_on=job.depends_on | {job.id},
            engine=self._engine,
            pivot=pivot,
            ask_person=person_for(agent, self._questions),
            delegates=delegates,
            earlier=thread.earlier if thread is not None else None,
            seen=thread.seen if thread is not None else None,
            transfers=transfers,
        )

    def _at_limit(self, agent: AgentEntry, job: Assignment) -> AtLimit | None:
        """Returns what is done at a limit; who is asked by another agent leaves it to that one to sum up."""
        if self._engine < 4:
            return None
        around = self._record.policies.at(job.path)
        if around == "finish" and job.depth:
            around = None
        return AtLimit(agent.on_limit or around, self._record, self._questions, self._engine)

    def _settle_failed(self, loop: AgentLoop, error: BaseException) -> None:
        nobody_was_asked = isinstance(error, Failed) and error.not_applied and not loop.models
        if nobody_was_asked:
            self._record.void(loop.job.id)
        else:
            self._record.settle(loop.job.id)


def _check(loop: AgentLoop) -> None:
    """Refuses an input that no model should see, before anything is recorded."""
    faults = check_input(loop.agent.input_schema, loop.job.input)
    if faults:
        raise loop.failed(FailureType.INVALID_INPUT, f"{loop.agent.name}: {in_short(faults)}")
    loop.check_size()


def _check_room(loop: AgentLoop) -> None:
    """Refuses an answer that is too large for the undo of the whole call, which carries input and output."""
    converter = workflow.payload_converter()
    size = sum(payload.ByteSize() for payload in converter.to_payloads([loop.job.input, loop.output]))
    most = MAX_PAYLOAD - UNDO_OVERHEAD
    if size > most:
        message = f"input and answer of {loop.agent.name} have {size} bytes together; the most is {most}"
        raise loop.failed(FailureType.PAYLOAD_TOO_LARGE, message)


def _opening(agent: AgentEntry, goal: str, job: Assignment) -> Sequence[ChatMessage]:
    about_goal = f"The goal of the whole task: {goal}" if goal else ""
    system = "\n\n".join(part for part in (agent.instructions.strip(), about_goal) if part)
    user = [ChatMessage(role="user", content=json.dumps(job.input, ensure_ascii=False))]
    if job.say:
        told = json.dumps(job.say, ensure_ascii=False)
        user.append(ChatMessage(role="user", content=f"What your team tells you: {told}"))
    if job.feedback:
        complaints = "\n".join(f"- {line}" for line in job.feedback)
        wrong = f"This was tried before, and undone. Do better than that; what was wrong:\n{complaints}"
        user.append(ChatMessage(role="user", content=wrong))
    return [ChatMessage(role="system", content=system), *user] if system else user
