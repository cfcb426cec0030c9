"""Runs one step: its items, its call, its validation, and what follows a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .caller import Call, as_json
from .catalog import DEFAULT_TIMEOUT, AgentEntry, ToolEntry
from .conversation import Assignment, Outcome
from .effect import Effect
from .errors import ExpressionError, FailureType
from .expression import compile_expression
from .failure import Failed, Failure, Stopped
from .model_calls import MODEL_RETRY
from .names import nearest
from .parts import Parts
from .progress import StepState
from .scope import StopScope
from .spec import Fallback, OnTrouble, Retry, Step
from .template import render
from .verdict import Subject
from .verification import Claim


class Surroundings(Protocol):
    """The graph that a step runs in.

    Attributes:
        parts: What the task is run with.
        prefix: Path of the group around it, with a slash at the end; empty for none.
        scope: What is stopped when a step of the graph fails.
    """

    parts: Parts
    prefix: str
    scope: StopScope

    def name_of(self, step_id: str) -> str:
        """Returns what the board calls a step."""

    def variables(self) -> dict[str, Any]:
        """Returns what expressions see."""

    def entries_before(self, step_id: str) -> frozenset[str]:
        """Returns the ledger entries that a call of the step builds on."""

    def entries_under(self, path: str) -> frozenset[str]:
        """Returns the ledger entries of one step, item or group."""

    def outputs_before(self, step_id: str) -> dict[str, Any]:
        """Returns the outputs of the steps that the step waits for."""

    async def run_inside(
        self, step_id: str, steps: Sequence[Step], prefix: str, scope: StopScope, variables: Mapping[str, Any]
    ) -> Surroundings:
        """Runs the steps inside the group `step_id` and returns what they ran in."""

    def own_steps(self) -> dict[str, dict[str, Any]]:
        """Returns state and output of the steps here, by id."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One run of a step: the only one, or one item of its `for_each`."""

    path: str
    variables: Mapping[str, Any]
    scope: StopScope


class StepRun:
    """Runs one step of a graph to its end."""

    def __init__(self, run: Surroundings, step: Step) -> None:
        """Args: run: the graph that the step belongs to."""
        self._run = run
        self._parts = run.parts
        self._book = run.parts.book
        self._step = step
        self._name = run.name_of(step.id)
        self._path = f"{run.prefix}{step.id}"

    async def run(self) -> None:
        """Runs the step and records how it ended.

        Raises:
            Failed: It failed, and the failure is not its own affair; its undos have not run yet.
            Stopped: Its scope was stopped before it was done.
        """
        try:
            state, output = await self._all_items()
        except Failed as failed:
            self._book.end_step(self._name, _state_of(failed), error=str(failed.failure.message))
            raise
        except ExpressionError as error:
            failure = Failure(step=self._name, type=FailureType.EXPRESSION, message=str(error))
            self._book.end_step(self._name, StepState.FAILED, error=failure.message)
            raise Failed(failure) from None
        self._book.end_step(self._name, state, output)

    async def _all_items(self) -> tuple[StepState, Any]:
        step = self._step
        if step.for_each is None:
            return await self._item(_Item(self._path, self._run.variables(), self._run.scope))
        items = compile_expression(step.for_each).evaluate(self._run.variables())
        if not isinstance(items, list):
            raise ExpressionError(f"for_each: {step.for_each!r} must give a list, not {type(items).__name__}")
        if step.when is not None and not _reads_item(step.when) and not self._wanted(self._run.variables()):
            return StepState.SKIPPED, None
        return StepState.COMPLETED, await self._side_by_side(items)

    async def _side_by_side(self, items: list[Any]) -> list[Any]:
        scope = StopScope(self._run.scope)
        gate = asyncio.Semaphore(self._step.max_parallel or max(len(items), 1))

        async def one(index: int, value: Any) -> Any:
            variables = {**self._run.variables(), "item": value, "index": index}
            async with gate:
                try:
                    return (await self._item(_Item(f"{self._path}[{index}]", variables, scope)))[1]
                except (Failed, ExpressionError) as error:
                    scope.stop(f"item {index} of {self._step.id} failed: {error}")
                    raise

        results = await asyncio.gather(*(one(i, v) for i, v in enumerate(items)), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, Stopped):
                raise error
        if errors:
            raise errors[0]
        return results

    async def _item(self, item: _Item) -> tuple[StepState, Any]:
        step = self._step
        item.scope.check(self._name)
        if step.when is not None and not self._wanted(item.variables):
            return StepState.SKIPPED, None
        self._book.start_step(self._name)
        if step.group is not None:
            return await self._with_policy(item, self._group(item), lambda: None)
        target = self._target(item)
        value = render(step.input, item.variables, "input")
        first = self._call_and_verify(item, target, value, 1)
        return await self._with_policy(item, first, lambda: value)

    def _wanted(self, variables: Mapping[str, Any]) -> bool:
        assert self._step.when is not None
        answer = compile_expression(self._step.when).evaluate(variables)
        if not isinstance(answer, bool):
            raise ExpressionError(f"when: {self._step.when!r} must be true or false, not {answer!r}")
        return answer

    def _target(self, item: _Item) -> AgentEntry | ToolEntry:
        name = render(self._step.target, item.variables, self._step.kind)
        if self._step.one_of and name not in self._step.one_of:
            known = ", ".join(self._step.one_of)
            message = f"{name!r} is not in one_of ({known})"
            raise Failed(Failure(step=self._name, type=FailureType.UNKNOWN_NAME, message=message))
        return self._entry(str(name))

    def _entry(self, name: str) -> AgentEntry | ToolEntry:
        catalog = self._parts.catalog
        known: Mapping[str, AgentEntry | ToolEntry] = catalog.agents if self._step.agent else catalog.tools
        entry = known.get(name) or catalog.agents.get(name)
        if entry is None:
            message = f"there is no {self._step.kind} {name!r}{nearest(name, known)}"
            raise Failed(Failure(step=self._name, type=FailureType.UNKNOWN_NAME, message=message))
        return entry

    async def _with_policy(self, item: _Item, work: Any, value: Any) -> tuple[StepState, Any]:
        """Awaits the work and does what the step says about its failure; each way undoes the step first."""
        try:
            return StepState.COMPLETED, await work
        except Stopped:
            raise
        except (Failed, ExpressionError) as error:
            failed = error if isinstance(error, Failed) else self._expression_failed(error)
            policy = self._policy(failed)
            if policy == "rollback" or item.scope.stopped:
                raise failed from error
            await self._take_back(item, failed)
        if policy == "skip":
            self._book.note("counterstep", "skipped after a failure", self._name, str(failed.failure))
            return StepState.SKIPPED, None
        assert isinstance(policy, Fallback)
        self._book.note("counterstep", f"falls back to {policy.fallback}", self._name, str(failed.failure))
        self._book.start_step(self._name)
        agent = self._entry(policy.fallback)
        return StepState.COMPLETED, await self._call_and_verify(item, agent, value(), 2)

    def _policy(self, failed: Failed) -> OnTrouble:
        if failed.failure.type == FailureType.BUDGET_EXCEEDED:
            return "rollback"
        rejected = failed.failure.type == FailureType.REJECTED
        return self._step.on_rejection if rejected else self._step.on_failure

    def _expression_failed(self, error: ExpressionError) -> Failed:
        return Failed(Failure(step=self._name, type=FailureType.EXPRESSION, message=str(error)))

    async def _take_back(self, item: _Item, failed: Failed) -> None:
        entries = self._run.entries_under(item.path)
        if not await self._parts.rollback.run(str(failed.failure), within=entries, scope=item.scope):
            raise failed

    async def _group(self, item: _Item) -> Any:
        group = self._step.group
        assert group is not None
        inner = await self._run.run_inside(
            self._step.id, group.steps, f"{item.path}/", item.scope, item.variables
        )
        output = render(group.output, inner.variables(), "output")
        if group.output is None:
            output = {name: value["output"] for name, value in inner.own_steps().items()}
        await self._verify(item, 1, output, None, {}, "", None)
        return output

    async def _call_and_verify(
        self, item: _Item, target: AgentEntry | ToolEntry, value: Any, round_: int
    ) -> Any:
        if isinstance(target, AgentEntry) and not target.python:
            outcome = await self._converse(item, target, value, round_)
        else:
            outcome = Outcome(output=await self._call(item, target, value, round_))
        await self._verify(item, round_, outcome.output, value, target.output_schema, target.name, outcome)
        return outcome.output

    async def _converse(self, item: _Item, agent: AgentEntry, value: Any, round_: int) -> Outcome:
        job = Assignment(
            step=self._name,
            path=item.path,
            round=round_,
            input=value,
            depends_on=self._run.entries_before(self._step.id),
            compensation=self._step.compensate or agent.compensate,
            retry=self._step.retry or MODEL_RETRY,
            task_queue=self._step.task_queue,
        )
        return await self._parts.conversations.run(agent, job, item.scope, self._step.timeout)

    async def _call(self, item: _Item, target: AgentEntry | ToolEntry, value: Any, round_: int) -> Any:
        step = self._step
        effect = step.effect or (Effect.COMPENSATABLE if step.compensate else target.effect)
        by_name = not isinstance(target, AgentEntry) or not target.whole_input
        call = Call(
            step=self._name,
            path=item.path,
            activity=target.name,
            args=(value,),
            effect=effect,
            input=value if by_name else {target.parameters[0]: value},
            compensation=step.compensate or target.compensate,
            before=target.before if isinstance(target, ToolEntry) else None,
            depends_on=self._run.entries_before(step.id),
            round=round_,
            timeout=step.timeout or target.timeout or DEFAULT_TIMEOUT,
            retry=step.retry or Retry(),
            task_queue=step.task_queue,
            interruptible=target.interruptible,
            summary=item.path,
        )
        return as_json(await self._parts.caller.call(call, item.scope))

    async def _verify(
        self,
        item: _Item,
        round_: int,
        output: Any,
        value: Any,
        schema: Mapping[str, Any],
        author: str,
        outcome: Outcome | None,
    ) -> None:
        claim = Claim(
            step=self._name,
            path=item.path,
            round=round_,
            schema=schema,
            subject=Subject(
                task_id=self._book.task_id,
                goal=self._book.goal,
                task=self._parts.input,
                step=self._name,
                author=author,
                input=value,
                output=output,
                steps=self._run.outputs_before(self._step.id),
                evidence=tuple(outcome.evidence) if outcome else (),
            ),
            scope={**item.variables, "output": output, "input": value},
            authors=frozenset(outcome.models) if outcome else frozenset(),
        )
        await self._parts.verification.verify(claim, self._step.validate_, item.scope)


def _reads_item(source: str) -> bool:
    return any(path.root in ("item", "index") for path in compile_expression(source).paths)


def _state_of(failed: Failed) -> StepState:
    if isinstance(failed, Stopped):
        return StepState.CANCELLED
    return StepState.REJECTED if failed.failure.type == FailureType.REJECTED else StepState.FAILED
