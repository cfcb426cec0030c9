"""The tool loop of a model agent: every model call and every tool call is an activity of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .book import Book
from .caller import Call, Caller, as_json
from .catalog import DEFAULT_TIMEOUT, AgentEntry, Catalog, ToolEntry
from .errors import FailureType
from .failure import Failed, Failure, Stopped
from .key import idempotency_key
from .ledger import Entry
from .model_call import GIVE_UP, Message, ModelReply, ModelRequest, ToolCall, ToolSchema
from .model_calls import MODEL_RETRY, ModelCalls
from .names import nearest
from .rollback import roll_back
from .scope import StopScope
from .spec import Retry
from .verdict import Evidence

MAX_CORRECTIONS = 3
"""How often one run may be told that its answer or a tool call was unusable."""

MAX_CONVERSATION = 200_000
"""Bytes of one conversation: it is sent again with every turn, so history grows with its square."""

@dataclass(frozen=True, slots=True)
class Assignment:
    """One job for a model agent.

    Attributes:
        step: The id of the step.
        path: Its place in the task.
        round: 1, plus 1 for each re-run after an undo.
        input: The agent's input; JSON.
        depends_on: Ids of the ledger entries that it builds on.
        compensation: What undoes the whole call.
    """

    step: str
    path: str
    round: int
    input: Any
    depends_on: frozenset[str]
    compensation: str
    retry: Retry = MODEL_RETRY
    task_queue: str | None = None


@dataclass(slots=True)
class Outcome:
    """What came of an assignment: the answer and the tool calls that were executed."""

    output: Any = None
    evidence: list[Evidence] = field(default_factory=list)
    models: set[str] = field(default_factory=set)


class Conversations:
    """Runs the model agents of one task."""

    def __init__(self, book: Book, caller: Caller, models: ModelCalls, catalog: Catalog, root_key: str) -> None:
        """Args: catalog: the task's snapshot. root_key: see `idempotency_key`."""
        self._book = book
        self._caller = caller
        self._models = models
        self._catalog = catalog
        self._root_key = root_key

    async def run(self, agent: AgentEntry, job: Assignment, scope: StopScope, timeout: Any = None) -> Outcome:
        """Lets an agent do a job.

        Args:
            timeout: The longest one model call may take; None for the agent's own.

        Returns:
            The answer, as its output schema wants it, with the evidence.

        Raises:
            Failed: It gave up, needed too many turns or corrections, or a call failed.
            Stopped: The scope was stopped.
        """
        scope.check(job.step)
        own = f"{job.path}#{job.round}"
        self._book.arm(
            Entry(
                id=own,
                step=job.step,
                compensation=job.compensation,
                key=idempotency_key(self._root_key, job.path, job.round),
                depends_on=job.depends_on,
                input=job.input if isinstance(job.input, dict) else {"input": job.input},
                task_queue=job.task_queue,
            )
        )
        outcome = Outcome()
        try:
            await _Loop(self, agent, job, scope, outcome, own).run(timeout or agent.timeout or DEFAULT_TIMEOUT)
        finally:
            self._book.settle(own, outcome.output)
        return outcome


class _Loop:
    """One run of the loop."""

    def __init__(
        self,
        parts: Conversations,
        agent: AgentEntry,
        job: Assignment,
        scope: StopScope,
        outcome: Outcome,
        own_entry: str,
    ) -> None:
        self._book = parts._book
        self._caller = parts._caller
        self._models = parts._models
        self._catalog = parts._catalog
        self._agent = agent
        self._job = job
        self._scope = scope
        self._outcome = outcome
        self._earlier = job.depends_on | {own_entry}
        self._tools = _by_model_name([self._catalog.tools[name] for name in agent.tools])
        self._tool_calls = 0
        self._corrections = 0
        self._messages = [
            Message(role="system", content=_system_prompt(agent, self._book.goal)),
            Message(role="user", content=json.dumps(job.input, ensure_ascii=False)),
        ]

    async def run(self, timeout: Any) -> None:
        schemas = tuple(
            ToolSchema(name=name, description=tool.description or tool.name, parameters=tool.input_schema)
            for name, tool in self._tools.items()
        )
        offered = (*schemas, GIVE_UP) if schemas else ()
        for turn in range(1, self._agent.max_turns + 1):
            self._check_size()
            request = ModelRequest(
                agent=self._agent.name,
                models=self._catalog.models_of(self._agent),
                messages=tuple(self._messages),
                tools=offered,
                output_schema=None if self._agent.output_schema == {"type": "string"} else self._agent.output_schema,
                output_name=self._agent.name.rpartition(".")[2],
                temperature=self._agent.temperature,
            )
            reply = await self._models.ask(
                self._job.step,
                f"{self._job.path}/model.{turn}",
                self._job.round,
                request,
                self._scope,
                f"{self._agent.name}, turn {turn}",
                timeout=timeout,
                retry=self._job.retry,
                task_queue=self._job.task_queue,
            )
            self._outcome.models.add(reply.model)
            if await self._finished_by(reply):
                return
        message = f"{self._agent.name} has not answered within {self._agent.max_turns} turns"
        raise self._failed(FailureType.MAX_TURNS, message)

    async def _finished_by(self, reply: ModelReply) -> bool:
        self._messages.append(Message(role="assistant", content=reply.content, tool_calls=reply.tool_calls))
        if reply.tool_calls:
            await self._use_tools(reply.tool_calls)
            return False
        if reply.invalid is None:
            self._outcome.output = reply.output
            return True
        self._correct(FailureType.INVALID_OUTPUT, reply.invalid)
        self._messages.append(Message(role="user", content=f"That answer cannot be used: {reply.invalid}"))
        return False

    async def _use_tools(self, wanted: Sequence[ToolCall]) -> None:
        for call in wanted:
            if call.name == GIVE_UP.name:
                reason = str((call.arguments or {}).get("reason", "no reason given"))
                raise self._failed(FailureType.GAVE_UP, f"{self._agent.name} gave up: {reason}")
        before = self._earlier
        tasks = [asyncio.ensure_future(self._use_tool(call, before)) for call in wanted]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        for call, answer in zip(wanted, answers, strict=True):
            self._messages.append(Message(role="tool", content=str(answer), tool_call_id=call.id))

    async def _use_tool(self, wanted: ToolCall, before: frozenset[str]) -> str:
        """Returns what the model is told: the result, or why there is none."""
        tool = self._tools.get(wanted.name)
        if tool is None:
            return self._refuse(wanted, f"there is no tool {wanted.name!r}{nearest(wanted.name, self._tools)}")
        if wanted.arguments is None:
            return self._refuse(wanted, wanted.invalid or "the arguments are no JSON object")
        self._tool_calls += 1
        call = Call(
            step=self._job.step,
            path=f"{self._job.path}/tool.{self._tool_calls}",
            activity=tool.name,
            args=(wanted.arguments,),
            effect=tool.effect,
            input=wanted.arguments,
            compensation=tool.compensate,
            before=tool.before,
            depends_on=before,
            round=self._job.round,
            timeout=tool.timeout or DEFAULT_TIMEOUT,
            task_queue=self._job.task_queue,
            interruptible=tool.interruptible,
            summary=f"{self._agent.name} uses {tool.name}",
        )
        try:
            result = as_json(await self._caller.call(call, self._scope))
        except Stopped:
            raise
        except Failed as failed:
            await self._take_back(call, failed)
            self._outcome.evidence.append(
                Evidence(tool=tool.name, arguments=wanted.arguments, error=failed.failure.message)
            )
            return self._refuse(wanted, f"{failed.failure.type}: {failed.failure.message}")
        if call.compensation is not None:
            self._earlier |= {call.id}
        self._outcome.evidence.append(Evidence(tool=tool.name, arguments=wanted.arguments, result=result))
        return json.dumps(result, ensure_ascii=False)

    async def _take_back(self, call: Call, failed: Failed) -> None:
        """Undoes a failed tool call at once: the model goes on, and nothing else would."""
        if call.id not in self._book.ledger or failed.certainly_nothing:
            return
        if not await roll_back(self._book, self._caller, str(failed.failure), within=[call.id]):
            raise failed

    def _refuse(self, wanted: ToolCall, reason: str) -> str:
        self._correct(FailureType.TOOL_FAILED, f"{wanted.name}: {reason}")
        return json.dumps({"error": reason}, ensure_ascii=False)

    def _correct(self, type_: FailureType, reason: str) -> None:
        self._corrections += 1
        if self._corrections > MAX_CORRECTIONS:
            raise self._failed(type_, f"{self._agent.name} was corrected {MAX_CORRECTIONS} times; last: {reason}")

    def _check_size(self) -> None:
        size = sum(len(message.model_dump_json()) for message in self._messages)
        if size > MAX_CONVERSATION:
            message = f"the conversation of {self._agent.name} has {size} bytes; the most is {MAX_CONVERSATION}"
            raise self._failed(FailureType.CONVERSATION_TOO_LONG, message)

    def _failed(self, type_: FailureType, message: str) -> Failed:
        return Failed(Failure(step=self._job.step, type=type_, message=message))


def _by_model_name(tools: Iterable[ToolEntry]) -> dict[str, ToolEntry]:
    """Names tools as providers allow: the function's name, or with its bundle where two are alike."""
    named: dict[str, ToolEntry] = {}
    for tool in tools:
        short = tool.name.rpartition(".")[2]
        named[tool.name.replace(".", "__") if short in named else short] = tool
    return named


def _system_prompt(agent: AgentEntry, goal: str) -> str:
    parts = [agent.instructions.strip()]
    if goal:
        parts.append(f"The goal of the whole task: {goal}")
    return "\n\n".join(part for part in parts if part)
