"""The calls that agents of a framework make in a saga: as those of our own agents are made, and told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import from_json, to_json

from ..agents.agent_outcome import AgentOutcome
from ..agents.earlier_calls import EarlierCalls
from ..agents.tool_answer import ToolAnswer, edited, refusal, repeated
from ..calls.call import Call, as_json
from ..effect import Effect
from ..engine.run_context import RunContext
from ..errors import NO_WAY_ON, DefinitionError, FailureType
from ..failure import Failed, Failure, Stopped, trim
from ..ledger.entry import ENDED
from ..names import NAME_ATTRIBUTE, nearest
from ..record.step_record import StepState
from ..spec.catalog import ToolEntry
from ..spec.rules.other_kind import other_kind
from ..temporal.activity_watch import watch_activities
from ..temporal.call_failed import CallFailed
from ..temporal.stop_scope import StopScope
from ..temporal.task_marker import free_name
from .agent_loops import AgentLoops
from .call_target import CallTarget
from .model_watch import ModelActivities, ModelWatch
from .running_calls import RunningCalls
from .saga_calls import SagaCalls


class AgentCalls:
    """What agents of frameworks do in one saga.

    They share one memory of what was done: no call with effects that has succeeded, and still stands, is made
    a second time because one of them plans it again.
    """

    def __init__(
        self,
        context: RunContext,
        calls: SagaCalls,
        running: RunningCalls,
        scope: Callable[[], StopScope],
    ) -> None:
        """Prepares the calls of one saga.

        Args:
            context: What the saga is run with.
            calls: Checks and records its calls.
            running: Awaits them.
            scope: Returns what a call that begins now belongs to.
        """
        self._context = context
        self._record = context.record
        self._calls = calls
        self._running = running
        self._scope = scope
        self._earlier = EarlierCalls({}, {}, ())
        self._steps: dict[str, str] = {}
        self._under_way: dict[str, StopScope] = {}
        self._ended_by: dict[str, Failed] = {}
        self._watch: ModelWatch | None = None
        self._loops = AgentLoops(context.catalog.tools, context.engine)

    def watch_models(self, kind: ModelActivities) -> None:
        """Counts the model calls of a framework against the saga's budget from now on."""
        if self._watch is None:
            self._watch = ModelWatch(self._context)
            watch_activities(self._watch)
        self._watch.add(kind)

    def tools(self, actions: Iterable[Any]) -> list[ToolEntry]:
        """Looks up what agents are to be given.

        Args:
            actions: Tools of the worker's bundles: the functions, or their names.

        Raises:
            DefinitionError: Something is not such a tool, is a pivot, or is given twice; all faults are told.
        """
        found: list[ToolEntry] = []
        faults: list[str] = []
        for action in actions:
            try:
                entry = self._tool(action)
            except DefinitionError as error:
                faults.append(str(error))
                continue
            if entry in found:
                faults.append(f"{entry.name!r} is given twice; give it once")
            found.append(entry)
        if faults:
            raise DefinitionError("\n".join(dict.fromkeys(faults)))
        return found

    async def use(
        self, tool: ToolEntry, arguments: str | Mapping[str, Any] | None, agent: str = "", run: object = None
    ) -> str:
        """Makes a call that an agent asks for.

        Args:
            tool: What it wants to call.
            arguments: By name, or as the text that the model has written.
            agent: Its name.
            run: The same object for all calls of one run of it.

        Returns:
            What the model is told, as JSON: the result, or an object with the key ``error``.

        Raises:
            CallFailed: The call has failed, and nobody can go on after that; or it was made so often already
                that it is a loop, and was not made.
            asyncio.CancelledError: The workflow was cancelled, or the framework goes on without the call.
        """
        try:
            named = _read(arguments)
        except ValueError as error:
            return refusal(str(error).encode(errors="replace").decode()).text
        with self._loops.of(agent, run).asks(tool, named) as asked:
            if asked.loop is not None:
                raise self._looping(asked.loop, agent)
            answer = await self._use(tool, named, agent)
            if answer.changed:
                self._loops.forget()
            return asked.told(answer)

    def _looping(self, loop: str, agent: str) -> CallFailed:
        """Ends what goes on beside it, and returns what to raise."""
        who = agent or "an agent"
        self._record.log.decide("refusal", "stops a loop", "", loop, who=who)
        failure = Failure(step="", type=FailureType.LOOP_DETECTED, message=trim(f"{who} {loop}"))
        self._end_others(Failed(failure, not_applied=True))
        return CallFailed(failure, in_framework=True)

    async def _use(self, tool: ToolEntry, named: dict[str, Any], agent: str) -> ToolAnswer:
        if tool.effect is Effect.READ_ONLY or tool.repeats == "allow":
            return await self._make(tool, named, agent)
        key = EarlierCalls.key(tool, named)
        async with self._earlier.lock(key):
            told = self._earlier.result(key)
            if told is None or not self._stands(key):
                return await self._make(tool, named, agent)
        return repeated(tool, told)

    async def _make(self, tool: ToolEntry, arguments: dict[str, Any], agent: str) -> ToolAnswer:
        name = free_name(tool.name.rpartition(".")[2])
        scope = self._running.scope_in(self._scope())
        try:
            self._calls.guard(name, tool.effect)
        except DefinitionError as error:
            return refusal(str(error))
        self._calls.add(name, CallTarget(tool.name, tool, tool.name))
        self._under_way[name] = scope
        try:
            work = self._answer(tool, name, arguments, agent, scope)
            answer: ToolAnswer = await self._running.run(work, name, scope, interruptible=tool.interruptible)
        except CallFailed as error:
            raise CallFailed(error.call_failure, in_framework=True) from error.__cause__
        finally:
            del self._under_way[name]
        return answer

    async def _answer(
        self, tool: ToolEntry, name: str, arguments: dict[str, Any], agent: str, scope: StopScope
    ) -> ToolAnswer:
        try:
            made, output = await self._call(tool, name, arguments, agent, scope)
        except Stopped:
            if name in self._ended_by:
                raise self._ended_by.pop(name) from None
            raise
        except Failed as failed:
            return self._failed(tool, name, arguments, failed)
        told = json.dumps(output, ensure_ascii=False)
        if made.input != arguments:
            told = edited(output, made.input)
        if tool.effect is not Effect.READ_ONLY:
            keys = (EarlierCalls.key(tool, arguments), EarlierCalls.key(tool, made.input))
            self._earlier.succeed(keys, "", told)
            self._steps |= dict.fromkeys(keys, name)
        return ToolAnswer(told, changed=tool.effect is not Effect.READ_ONLY)

    async def _call(
        self, tool: ToolEntry, name: str, arguments: dict[str, Any], agent: str, scope: StopScope
    ) -> tuple[Call, Any]:
        made: list[Call] = []

        async def make() -> AgentOutcome:
            call = Call.of(
                tool,
                arguments,
                step=name,
                path=name,
                summary=f"{agent or 'an agent'} uses {tool.name}"[:200],
                depends_on=self._calls.done,
                round=await self._calls.round(name, scope),
                agent=agent or None,
            )
            call = replace(call, key=self._earlier.unsure.get(EarlierCalls.key(tool, arguments)))
            made.append(call)
            executed = await self._context.caller.execute(call, scope)
            made.append(executed.call)
            return AgentOutcome(output=as_json(executed.result))

        action = CallTarget(tool.name, tool, tool.name)
        try:
            outcome = await self._calls.checked(name, action, arguments, tool.output_schema, (), scope, make)
        except Failed as failed:
            if made and tool.effect is Effect.RETRIABLE and not failed.not_applied:
                self._earlier.unsure[EarlierCalls.key(tool, arguments)] = self._context.caller.key_of(made[0])
            raise
        return made[-1], outcome.output

    def _failed(self, tool: ToolEntry, name: str, arguments: dict[str, Any], failed: Failed) -> ToolAnswer:
        """Tells the model of a failed call, which is undone by now; raises where nobody can go on."""
        failure = failed.failure
        if failed.ends_step or failure.type in NO_WAY_ON or self._is_stuck(name):
            self._end_others(failed, name)
            raise failed
        return refusal(f"{failure.type}: {failure.message}")

    def _end_others(self, failed: Failed, name: str = "") -> None:
        """Stops what goes on beside a call, here and in order: a framework cancels it in any order."""
        for other, scope in self._under_way.items():
            if other != name and not scope.stopped:
                self._ended_by[other] = failed
                scope.stop(str(failed.failure))

    def _is_stuck(self, name: str) -> bool:
        ledger = self._record.ledger
        return any(ledger[entry_id].state not in ENDED for entry_id in self._calls.entries(name))

    def _stands(self, key: str) -> bool:
        return self._record.steps[self._steps[key]].state is StepState.COMPLETED

    def _tool(self, action: Any) -> ToolEntry:
        catalog = self._context.catalog
        name = action if isinstance(action, str) else getattr(action, NAME_ATTRIBUTE, None)
        if name is None:
            what = getattr(action, "name", getattr(action, "__name__", action))
            raise DefinitionError(
                f"{what!r} is not a tool of a bundle; declare it with @bundle.tool(...), which says "
                "its undo, and give the bundle to the worker's CounterstepPlugin"
            )
        entry = catalog.tools.get(name)
        if entry is None:
            kind = other_kind(name, catalog, but="tool")
            if kind:
                raise DefinitionError(f"{name!r} {kind}")
            raise DefinitionError(f"this worker does not offer {name!r}{nearest(name, catalog.tools)}")
        if entry.effect is Effect.PIVOT:
            raise DefinitionError(
                f"{name!r} is a pivot, which no agent may choose; call it when the agent is done: "
                f"await saga.call({name.rpartition('.')[2]}, ...)"
            )
        return entry


def _read(arguments: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Reads the arguments of a call; nothing at all means that there are none.

    Raises:
        ValueError: They are not a JSON object, or cannot be sent to a worker: half of a character leaves a
            workflow stuck, and what is nested very deeply fails it.
    """
    try:
        named = _parsed(arguments)
    except ValueError as error:
        raise ValueError(f"the arguments are not a JSON object: {error}") from None
    try:
        from_json(to_json(named), allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        why = str(error).removeprefix("Error serializing to JSON: ")
        raise ValueError(f"the arguments cannot be sent: {why}") from None
    return named


def _parsed(arguments: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if arguments is None or isinstance(arguments, Mapping):
        return dict(arguments or {})
    try:
        read = json.loads(arguments or "{}", parse_constant=_refuse)
    except RecursionError:
        raise ValueError("they are nested too deeply") from None
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise ValueError(arguments[:200])
    return read


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
