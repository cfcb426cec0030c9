"""The tools of one run of an agent: each call an activity of its own, with its own undo."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..calls.call import Call, as_json
from ..calls.caller import Caller
from ..calls.rollback import Rollback
from ..effect import Effect
from ..errors import FailureType
from ..failure import Failed, Stopped
from ..limits.loop_guard import LoopGuard
from ..names import nearest
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, ToolEntry
from ..temporal.stop_scope import StopScope
from ..verdict import Evidence
from .assignment import Assignment
from .delegates import Delegates
from .earlier_calls import EarlierCalls
from .loop_watch import LoopWatch
from .model_names import by_model_name
from .model_protocol import ABANDON, ASK_PERSON, GIVE_UP, WAYS_OUT, ToolCall, ToolSchema
from .tool_answer import ExecutedCall, ToolAnswer, edited, refusal, repeated
from .transfers import Transfers

MakePivot = Callable[[Call, ToolEntry], Awaitable[tuple[Call, Any]]]
"""Makes the call of a pivot when nothing forbids it any more; returns it as it was made, and its result."""

AskPerson = Callable[[ToolCall, str, StopScope], Awaitable[ToolAnswer]]
"""Asks a person what a model wants to know; the text is the path of the question."""

_NO_PIVOT = "it is the point of no return, which only a step that says effect: pivot may pass"
_SAID_NO = (FailureType.APPROVAL_DENIED, FailureType.APPROVAL_EXPIRED)
"""Not a fault of the model: it goes on without the call."""


class Toolbox:
    """The tools that an agent may call in one run, and no others.

    Attributes:
        executed: The calls that were executed, in the order in which they were asked for.
        limit: Why no more calls are made; None while they are.
        calls: How many calls have been made.
        built_on: The ledger entries that the next call builds on.
        way_out: How a model gives up.
        earlier: The calls with effects that have been made.
        loops: Watches for calls that are made again and again.
        transfers: To whom the conversation may be handed over; None for nobody.
    """

    def __init__(
        self,
        agent: str,
        tools: Iterable[ToolEntry],
        job: Assignment,
        record: TaskRecord,
        caller: Caller,
        rollback: Rollback,
        *,
        built_on: frozenset[str],
        calls: int = 0,
        engine: int,
        has_effects: bool = False,
        earlier: EarlierCalls | None = None,
        seen: LoopGuard | None = None,
        pivot: MakePivot | None = None,
        ask_person: AskPerson | None = None,
        delegates: Delegates | None = None,
        transfers: Transfers | None = None,
    ) -> None:
        """Fills a toolbox.

        Args:
            agent: The agent's name, for summaries.
            tools: What it may call.
            job: What they are used for.
            record: The task's record.
            caller: Makes the calls.
            rollback: Undoes those that failed.
            built_on: The ledger entries that the first call builds on.
            calls: How many calls the conversation has made before.
            engine: See `Snapshot`.
            has_effects: Whether calls with effects have succeeded before.
            earlier: What the agent has done before; None where it begins.
            seen: The calls that were seen before, likewise.
            pivot: Makes the call of a pivot; None where the step may not be one.
            ask_person: Asks people; None for an agent that may not.
            delegates: The agents among its tools; None for none.
            transfers: See the attributes.
        """
        self.executed: list[ExecutedCall] = []
        self.limit: Failed | None = None
        self.calls = calls
        self.built_on = built_on
        self.way_out = ABANDON if engine >= 2 else GIVE_UP
        self.earlier = earlier or EarlierCalls({}, {}, ())
        self._heeds_earlier = engine >= 3
        self._pivot = pivot
        self._ask_person = ask_person
        self._had_effects = has_effects
        self._agent = agent
        self._delegates = delegates
        self.transfers = transfers
        reserved = WAYS_OUT if ask_person is None else WAYS_OUT | {ASK_PERSON.name}
        for others in (delegates, transfers):
            reserved |= others.names if others else frozenset()
        self._tools = by_model_name(tools, reserved)
        offered: dict[str, ToolEntry | AgentEntry] = {
            **self._tools,
            **(delegates.agents if delegates else {}),
        }
        self.loops = LoopWatch(agent, offered, seen, engine)
        self._job = job
        self._record = record
        self._caller = caller
        self._rollback = rollback

    def offered(self) -> tuple[ToolSchema, ...]:
        """Returns what the model is shown: the tools and a way to give up; nothing where it has no tools.

        In a conversation that was handed over there may be tool calls: providers take none without tools.
        """
        tools = [
            ToolSchema(name=name, description=tool.description or tool.name, parameters=tool.input_schema)
            for name, tool in self._tools.items()
        ]
        if self._delegates is not None:
            tools += self._delegates.offered()
        if self.transfers is not None:
            tools += self.transfers.offered()
        if self._ask_person is not None:
            tools.append(ASK_PERSON)
        return (*tools, self.way_out) if tools or self.transfers is not None else ()

    @property
    def has_effects(self) -> bool:
        """Whether a call with effects has succeeded, which giving up would undo."""
        changing = {tool.name for tool in self._tools.values() if tool.effect is not Effect.READ_ONLY}
        if self._delegates is not None and self._delegates.have_effects:
            return True
        done = (executed.evidence for executed in self.executed)
        return self._had_effects or any(item.tool in changing and item.error is None for item in done)

    async def use(self, wanted: Sequence[ToolCall], asked_in: str, scope: StopScope) -> list[ToolAnswer]:
        """Makes the tool calls of one turn side by side.

        Args:
            wanted: What the model asks for; none of it goes on with a loop.
            asked_in: The path of the model call that asks for it.
            scope: The part of the task that the calls belong to.

        Returns:
            One answer for each call, in order.

        Raises:
            Failed: A call failed and cannot be undone, or ends the step; all others have ended by then.
            Stopped: The scope was stopped.
        """
        built_on = self.built_on
        pivots = [at for at, call in enumerate(wanted) if self._is_pivot(call)]
        handed = self.transfers.names if self.transfers is not None else ()
        transfers = [at for at, call in enumerate(wanted) if call.name in handed]
        beside = [at for at in range(len(wanted)) if at not in (*pivots, *transfers)]
        ended = await asyncio.gather(
            *(self._use(wanted[at], built_on, scope) for at in beside), return_exceptions=True
        )
        answered: dict[int, ToolAnswer] = {}
        for at, outcome in zip(beside, ended, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            answered[at] = outcome
        for at in pivots:  # nothing may be under way beside it that could still have to be undone
            answered[at] = await self._use(wanted[at], built_on, scope)
        if self.transfers is not None and transfers:  # when all else is done that the turn asks for
            handovers = self.transfers.use([wanted[at] for at in transfers])
            answered |= dict(zip(transfers, handovers, strict=True))
        answers = [answered[at] for at in range(len(wanted))]
        self.executed += [answer.executed for answer in answers if answer.executed is not None]
        # What came before, the next ones depend on through these.
        self.built_on = (self.built_on - built_on) or built_on
        for call, answer in zip(wanted, answers, strict=True):
            if answer.fault is not None and answer.executed is None:
                self.refuse(f"{call.name} is not called", answer.fault)
        return self.loops.note(wanted, answers, asked_in)

    def refuse(self, what: str, why: str) -> None:
        """Records that something was not allowed."""
        self._record.log.decide("refusal", what, self._job.step, why, who=self._agent, call=self._job.path)

    def note_fallback(self, model: str, asked: Sequence[str]) -> None:
        """Records that another model of the chain has answered than the first one."""
        before = [*asked[: asked.index(model)]] if model in asked else asked
        why = f"{', '.join(before)} gave no answer"
        self._record.log.decide(
            "rung", f"{model} answers", self._job.step, why, who=self._agent, call=self._job.path
        )

    async def _use(self, wanted: ToolCall, built_on: frozenset[str], scope: StopScope) -> ToolAnswer:
        tool = self._tools.get(wanted.name)
        if tool is None and self._ask_person is not None and wanted.name == ASK_PERSON.name:
            self.calls += 1
            return await self._ask_person(wanted, f"{self._job.path}/ask.{self.calls}", scope)
        if tool is None and self._delegates is not None and wanted.name in self._delegates.names:
            return await self._delegate(self._delegates, wanted, built_on, scope)
        if tool is None:
            known = [*self._tools, *(self._delegates.names if self._delegates else ())]
            known += self.transfers.names if self.transfers is not None else ()
            return refusal(f"there is no tool {wanted.name!r}{nearest(wanted.name, known)}")
        if self._record.past_pivot and tool.effect is Effect.COMPENSATABLE:
            return refusal("past the point of no return nothing may be done that would have to be undone")
        if wanted.arguments is None:
            return refusal(wanted.invalid or "the arguments are not a JSON object")
        if tool.effect is Effect.PIVOT and (self._pivot is None or self._record.committed):
            return refusal(_NO_PIVOT if self._pivot is None else "a task has one pivot, which was applied")
        if tool.effect is Effect.READ_ONLY or tool.repeats == "allow" or not self._heeds_earlier:
            return await self._make(tool, wanted, wanted.arguments, built_on, scope)
        key = EarlierCalls.key(tool, wanted.arguments)
        async with self.earlier.lock(key):
            told = self.earlier.result(key)
            if told is None:
                return await self._make(tool, wanted, wanted.arguments, built_on, scope)
        return repeated(tool, told)

    async def _delegate(
        self, delegates: Delegates, wanted: ToolCall, built_on: frozenset[str], scope: StopScope
    ) -> ToolAnswer:
        if self._record.past_pivot:
            return refusal("past the point of no return no other agent is asked any more")
        self.calls += 1
        done = await delegates.use(wanted, self.calls, built_on, scope)
        self.built_on |= done.entries
        if done.outcome is None:
            return refusal(done.error, None if done.evidence is None else ExecutedCall(done.evidence))
        self.executed += [ExecutedCall(item) for item in done.outcome.evidence]
        assert done.evidence is not None
        text = json.dumps(done.outcome.output, ensure_ascii=False)
        return ToolAnswer(text, None, ExecutedCall(done.evidence), done.changed, done.entries)

    async def _make(
        self,
        tool: ToolEntry,
        wanted: ToolCall,
        arguments: dict[str, Any],
        built_on: frozenset[str],
        scope: StopScope,
    ) -> ToolAnswer:
        call = await self._call(tool, arguments, built_on, scope)
        key = EarlierCalls.key(tool, arguments) if tool.effect is not Effect.READ_ONLY else ""
        call = replace(call, key=self.earlier.unsure.get(key))
        try:
            made, result = await self._execute(tool, call, scope)
        except Stopped:
            raise
        except Failed as failed:
            return await self._failed(tool, call, key, failed, scope)
        if made.compensation is not None:
            self.built_on |= {made.id}
        text = json.dumps(result, ensure_ascii=False)
        if made.input != arguments:
            text = edited(result, made.input)
        if key:
            self.earlier.succeed((key, EarlierCalls.key(tool, made.input)), wanted.id, text)
        evidence = Evidence(tool=tool.name, arguments=made.input, result=result)
        if made.compensation is None:
            return ToolAnswer(text, executed=ExecutedCall(evidence), changed=bool(key))
        return ToolAnswer(text, None, ExecutedCall(evidence, made.id), bool(key), frozenset({made.id}))

    async def _execute(self, tool: ToolEntry, call: Call, scope: StopScope) -> tuple[Call, Any]:
        if tool.effect is Effect.PIVOT and self._pivot is not None:
            return await self._pivot(call, tool)
        executed = await self._caller.execute(call, scope)
        return executed.call, as_json(executed.result)

    async def _failed(
        self, tool: ToolEntry, call: Call, key: str, failed: Failed, scope: StopScope
    ) -> ToolAnswer:
        """Undoes a failed call, and tells the model of it."""
        if failed.ends_step:
            raise failed
        if failed.not_applied and failed.failure.type == FailureType.BUDGET_EXCEEDED:
            self.limit = failed  # the calls beside it have been made, and are to be told
            return ToolAnswer(refusal(str(failed.failure.message)).text)
        await self._take_back(call, failed, scope)
        failure = failed.failure
        if failure.type in _SAID_NO:
            return ToolAnswer(refusal(f"{failure.type}: {failure.message}").text)
        if tool.effect is Effect.RETRIABLE and not failed.not_applied and self._heeds_earlier:
            self.earlier.unsure[key] = self._caller.key_of(call)
        evidence = Evidence(tool=tool.name, arguments=call.input, error=failure.message)
        return refusal(
            f"{failure.type}: {failure.message}", None if _never_ran(failed) else ExecutedCall(evidence)
        )

    def _is_pivot(self, wanted: ToolCall) -> bool:
        tool = self._tools.get(wanted.name)
        return tool is not None and tool.effect is Effect.PIVOT

    async def _call(
        self, tool: ToolEntry, arguments: dict[str, Any], built_on: frozenset[str], scope: StopScope
    ) -> Call:
        self.calls += 1
        path, round_ = f"{self._job.path}/tool.{self.calls}", self._job.round
        if self._heeds_earlier:
            round_ = await self._caller.reset_gate.round_at(path, round_, self._job.step, scope)
        return Call.of(
            tool,
            arguments,
            step=self._job.step,
            path=path,
            summary=f"{self._agent} uses {tool.name}",
            depends_on=built_on,
            round=round_,
            task_queue=self._job.task_queue,
            agent=self._agent,
        )

    async def _take_back(self, call: Call, failed: Failed, scope: StopScope) -> None:
        """Undoes a failed call at once: the model goes on, and nothing else would."""
        if call.id not in self._record.ledger or failed.not_applied:
            return
        if not await self._rollback.run(str(failed.failure), within=[call.id], scope=scope):
            raise failed


def _never_ran(failed: Failed) -> bool:
    return failed.not_applied and failed.failure.type in (FailureType.INVALID_INPUT, FailureType.REJECTED)
