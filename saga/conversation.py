"""The conversation with a model agent: turns until it answers, gives up or has used up what it may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .assignment import Assignment
from .book import Book
from .caller import Caller
from .catalog import DEFAULT_TIMEOUT, AgentEntry, Catalog
from .errors import FailureType
from .failure import Failed, Failure, trim
from .key import idempotency_key
from .ledger import Entry
from .model_call import GIVE_UP, Message, ModelReply, ModelRequest, ToolCall
from .model_calls import ModelCalls
from .rollback import Rollback
from .schema import check_input
from .scope import StopScope
from .toolbox import Toolbox, refusal
from .verdict import Evidence
from .wire import CallOwner

__all__ = ["Assignment", "Conversations", "Outcome"]

MAX_CORRECTIONS = 3
"""How often one run may be told that its answer, or a tool call of its turn, was unusable."""

MAX_CALLS = 20
"""Tool calls of one turn: the server takes a limited number of pending activities."""

MAX_TURNS = 20
"""Turns of one conversation: it is sent again with each, so history grows with the square of its length."""

MAX_CONVERSATION = 200_000
"""Bytes of one conversation, for the same reason."""

_TEXT = {"type": "string"}


@dataclass(slots=True)
class Outcome:
    """What came of an assignment.

    Attributes:
        output: The answer; None while there is none.
        evidence: The tool calls that were executed.
        models: The models that took part.
    """

    output: Any = None
    evidence: list[Evidence] = field(default_factory=list)
    models: set[str] = field(default_factory=set)


class Conversations:
    """Runs the model agents of one task."""

    def __init__(
        self,
        book: Book,
        caller: Caller,
        rollback: Rollback,
        models: ModelCalls,
        catalog: Catalog,
        root_key: str,
    ) -> None:
        """Args: catalog: the task's snapshot. root_key: see `idempotency_key`."""
        self._book = book
        self._caller = caller
        self._rollback = rollback
        self._models = models
        self._catalog = catalog
        self._root_key = root_key

    async def run(
        self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: timedelta | None = None
    ) -> Outcome:
        """Lets an agent do a job.

        Args:
            agent: Who does it.
            job: What is to be done.
            scope: The part of the task that it belongs to.
            timeout: The longest one model call may take; None for the agent's own.

        Returns:
            The answer, as its output schema wants it, with the evidence.

        Raises:
            Failed: The input does not fit, it gave up, needed too many turns or corrections, or a call
                failed.
            Stopped: The scope was stopped.
        """
        scope.check(job.step)
        tools = [self._catalog.tools[name] for name in agent.tools]
        entry = self._own_entry(job)
        talk = _Conversation(
            agent=agent,
            job=job,
            asked=self._catalog.models_of(agent),
            models=self._models,
            toolbox=Toolbox(agent.name, tools, job, self._book, self._caller, self._rollback),
            timeout=timeout or agent.timeout or DEFAULT_TIMEOUT,
            goal=self._book.goal,
            owner=CallOwner(id=entry.id, key=entry.key, compensation=entry.compensation),
        )
        talk.check()
        self._book.arm(entry)
        try:
            await talk.run(scope)
        except BaseException as error:
            self._settle_failed(job, talk.outcome, error)
            raise
        self._book.settle(job.id, talk.outcome.output)
        return talk.outcome

    def _settle_failed(self, job: Assignment, outcome: Outcome, error: BaseException) -> None:
        nobody_was_asked = isinstance(error, Failed) and error.certainly_nothing and not outcome.models
        if nobody_was_asked:
            self._book.void(job.id)
        else:
            self._book.settle(job.id)

    def _own_entry(self, job: Assignment) -> Entry:
        return Entry(
            id=job.id,
            step=job.step,
            compensation=job.compensation,
            key=idempotency_key(self._root_key, job.path, job.round),
            depends_on=job.depends_on,
            input=job.input if isinstance(job.input, dict) else {"input": job.input},
            task_queue=job.task_queue,
        )


class _Conversation:
    """One run of an agent.

    Attributes:
        outcome: What has come of it so far.
    """

    def __init__(
        self,
        *,
        agent: AgentEntry,
        job: Assignment,
        asked: tuple[str, ...],
        models: ModelCalls,
        toolbox: Toolbox,
        timeout: timedelta,
        goal: str,
        owner: CallOwner,
    ) -> None:
        self.outcome = Outcome(evidence=toolbox.evidence)
        self._agent = agent
        self._job = job
        self._asked = asked
        self._models = models
        self._toolbox = toolbox
        self._timeout = timeout
        self._owner = owner
        self._corrections = 0
        self._messages = list(_opening(agent, goal, job))

    def check(self) -> None:
        """Refuses an input that no model should see, before anything is recorded.

        Raises:
            Failed: The input breaks the agent's type, or is too large for a conversation.
        """
        faults = check_input(self._agent.input_schema, self._job.input)
        if faults:
            reasons = "; ".join(str(fault) for fault in faults[:5])
            raise self._failed(FailureType.INVALID_INPUT, f"{self._agent.name}: {reasons}")
        self._check_size()

    async def run(self, scope: StopScope) -> None:
        """Takes turns until there is an answer; raises as `Conversations.run` does."""
        for turn in range(1, self._agent.max_turns + 1):
            if turn > MAX_TURNS:
                message = f"{self._agent.name} has taken {MAX_TURNS} turns, the most that a history can hold"
                raise self._failed(FailureType.CONVERSATION_TOO_LONG, message)
            self._check_size()
            reply = await self._ask(turn, scope)
            self.outcome.models.add(reply.model)
            self._messages.append(_said(reply))
            if reply.tool_calls:
                await self._use_tools(reply.tool_calls, scope)
            elif reply.invalid is not None:
                self._correct(FailureType.INVALID_OUTPUT, reply.invalid)
                complaint = f"That answer cannot be used: {reply.invalid}"
                self._messages.append(Message(role="user", content=complaint))
            else:
                self.outcome.output = reply.output
                return
        message = f"{self._agent.name} has not answered within {self._agent.max_turns} turns"
        raise self._failed(FailureType.MAX_TURNS, message)

    async def _ask(self, turn: int, scope: StopScope) -> ModelReply:
        agent, job = self._agent, self._job
        request = ModelRequest(
            agent=agent.name,
            models=self._asked,
            messages=tuple(self._messages),
            tools=self._toolbox.offered(),
            output_schema=None if agent.output_schema == _TEXT else agent.output_schema,
            output_name=agent.name.rpartition(".")[2],
            temperature=agent.temperature,
        )
        return await self._models.ask(
            job.step,
            f"{job.path}/model.{turn}",
            job.round,
            request,
            scope,
            f"{agent.name}, turn {turn}",
            timeout=self._timeout,
            retry=job.retry,
            task_queue=job.task_queue,
            owner=self._owner,
        )

    async def _use_tools(self, wanted: Sequence[ToolCall], scope: StopScope) -> None:
        for call in wanted:
            if call.name == GIVE_UP.name:
                reason = (call.arguments or {}).get("reason", "no reason given")
                raise self._failed(FailureType.GAVE_UP, f"{self._agent.name} gave up: {reason}")
        if len(wanted) > MAX_CALLS:
            reason = f"{len(wanted)} tool calls in one turn; the most is {MAX_CALLS}, and none was made"
            answers = [refusal(reason)] * len(wanted)
        else:
            answers = await self._toolbox.use(wanted, scope)
        faults = dict.fromkeys(answer.fault for answer in answers if answer.fault is not None)
        if faults:
            self._correct(FailureType.TOOL_FAILED, "; ".join(faults))
        for call, answer in zip(wanted, answers, strict=True):
            self._messages.append(Message(role="tool", content=answer.text, tool_call_id=call.id))

    def _correct(self, type_: FailureType, reason: str) -> None:
        self._corrections += 1
        if self._corrections > MAX_CORRECTIONS:
            message = f"{self._agent.name} was corrected {MAX_CORRECTIONS} times; last: {reason}"
            raise self._failed(type_, message)

    def _check_size(self) -> None:
        size = sum(len(message.model_dump_json().encode()) for message in self._messages)
        if size > MAX_CONVERSATION:
            message = (
                f"the conversation of {self._agent.name} has {size} bytes; the most is {MAX_CONVERSATION}"
            )
            raise self._failed(FailureType.CONVERSATION_TOO_LONG, message)

    def _failed(self, type_: FailureType, message: str) -> Failed:
        return Failed(Failure(step=self._job.step, type=type_, message=trim(message)))


def _opening(agent: AgentEntry, goal: str, job: Assignment) -> Sequence[Message]:
    about_goal = f"The goal of the whole task: {goal}" if goal else ""
    system = "\n\n".join(part for part in (agent.instructions.strip(), about_goal) if part)
    user = [Message(role="user", content=json.dumps(job.input, ensure_ascii=False))]
    if job.feedback:
        complaints = "\n".join(f"- {line}" for line in job.feedback)
        wrong = f"This was tried before, and undone. Do better than that; what was wrong:\n{complaints}"
        user.append(Message(role="user", content=wrong))
    return [Message(role="system", content=system), *user] if system else user


def _said(reply: ModelReply) -> Message:
    """Returns what the model said as a message; some providers take none that is empty."""
    content = reply.content or (None if reply.tool_calls else "(nothing)")
    return Message(role="assistant", content=content, tool_calls=reply.tool_calls)
