"""Runs one step: its items, its attempts, and what follows a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..effect import Effect
from ..errors import ExpressionError, FailureType
from ..expressions.expression import compile_expression
from ..failure import Failed, Failure, RetryFromStep, Stopped
from ..people.questions import Check
from ..people.terms import Terms
from ..people.updates import Answer
from ..record.step_record import StepState
from ..spec.failure_policy import Escalate, Escalation, Fallback, OnTrouble, RetryFrom
from ..spec.rules.pivot_rules import effects_of
from ..spec.task_spec import Step
from ..temporal.stop_scope import StopScope
from .step_attempt import StepAttempt
from .step_surroundings import StepItem, Surroundings
from .step_wait import names_of

_ITEM_EFFORT = 300
"""Microseconds that the beginning of one item takes."""

_NO_WAY_ON = frozenset({FailureType.BUDGET_EXCEEDED, FailureType.HISTORY_FULL})


class StepRun:
    """Runs one step of a graph to its end."""

    def __init__(self, run: Surroundings, step: Step, scope: StopScope) -> None:
        """Prepares to run one step of a graph; a stop of `scope` stops it."""
        self._run = run
        self._scope = scope
        self._context = run.context
        self._record = run.context.record
        self._step = step
        self._name = run.name_of(step.id)
        self._path = f"{run.prefix}{step.id}"
        self._calls = StepAttempt(run, step)
        self._pace = run.context.load.pace

    async def run(self) -> None:
        """Runs the step and records how it ended.

        Raises:
            Again: It failed, and the task is to go back to a step; the step's own undos have run.
            Failed: It failed, and the failure is not its own affair; its undos have not run yet.
            Stopped: Its scope was stopped before it was done.
        """
        try:
            state, output = await self._all_items()
        except Failed as failed:
            self._record.end_step(self._name, _state_of(failed), error=str(failed.failure.message))
            raise
        self._record.end_step(self._name, state, output)

    # --- items

    def _variables(self) -> dict[str, Any]:
        found = self._run.variables()
        return {**found, "feedback": self._record.feedback.get(self._name) or found["feedback"]}

    async def _all_items(self) -> tuple[StepState, Any]:
        step = self._step
        if step.for_each is None:
            return await self._item(StepItem(self._path, self._variables(), self._scope))
        while True:
            try:
                items = await self._items(step.for_each)
                break
            except ExpressionError as error:
                failed = self._expression_failed(error)
                if not self._record.committed:
                    raise failed from None
            answer = await self._ask(
                StepItem(self._path, self._variables(), self._scope),
                failed,
                {"retry": None, "skip": None},
                Escalation(),
            )
            if answer.action == "skip":
                return StepState.SKIPPED, None
        if items is None:
            return StepState.SKIPPED, None
        return StepState.COMPLETED, await self._side_by_side(items)

    async def _items(self, source: str) -> list[Any] | None:
        """Returns the items of `for_each`; None where the step as a whole is not wanted."""
        variables = self._variables()
        items = await self._pace.evaluate(source, variables)
        if not isinstance(items, list):
            raise ExpressionError(f"for_each: {source!r} must give a list, not {type(items).__name__}")
        if len(items) > self._context.load.most_items:
            most = self._context.load.most_items
            raise ExpressionError(f"for_each: {source!r} gives {len(items)} items; the most is {most}")
        when = self._step.when
        if when is None or _reads_item(when) or await self._truth("when", when, variables):
            return items
        return None

    async def _side_by_side(self, items: list[Any]) -> list[Any]:
        scope = StopScope(self._scope)
        gate = asyncio.Semaphore(self._step.max_parallel or max(len(items), 1))
        bounded = self._step.max_parallel is not None and self._context.engine >= 2
        ended = frozenset[str]()

        async def one(index: int, value: Any) -> Any:
            nonlocal ended
            variables = {**self._variables(), "item": value, "index": index}
            path = f"{self._path}[{index}]"
            async with gate:
                # It may build on the items that ended before it began, and is undone before them.
                after = ended
                try:
                    _, output = await self._item(StepItem(path, variables, scope, after))
                except Failed as error:
                    scope.stop(f"item {index} of {self._step.id} failed: {error}")
                    raise
                entries = self._run.entries_under(path) if bounded else frozenset[str]()
                if entries:
                    ended = (ended - after) | entries
                return output

        results = await asyncio.gather(*(one(i, v) for i, v in enumerate(items)), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, Stopped):
                raise error
        if errors:
            raise errors[0]
        return results

    # --- attempts, and what follows a failure

    async def _item(self, item: StepItem) -> tuple[StepState, Any]:
        """Makes attempts, and does what the step says about a failure; each way undoes the step first."""
        await self._pace.turn(_ITEM_EFFORT)
        item.scope.check(self._name)
        fallback: str | None = None
        while True:
            try:
                return await self._attempt(item, fallback)
            except Stopped:
                raise
            except (Failed, ExpressionError) as error:
                failed = error if isinstance(error, Failed) else self._expression_failed(error)
                policy = self._policy(failed, fell_back=fallback is not None)
                if policy == "rollback" or item.scope.stopped:
                    raise failed from error
            await self._take_back(item, failed)
            fallback = None
            if isinstance(policy, RetryFrom):
                raise RetryFromStep(failed, policy.retry_from)
            if isinstance(policy, Fallback):
                self._note(f"falls back to {policy.fallback}", failed)
                fallback = policy.fallback
                continue
            if policy == "skip":
                self._note("skipped after a failure", failed)
                return StepState.SKIPPED, None
            asking = policy.escalate if isinstance(policy, Escalate) else Escalation()
            decided = await self._escalate(item, failed, asking)
            if decided is not None:
                return decided

    async def _attempt(self, item: StepItem, fallback: str | None) -> tuple[StepState, Any]:
        if fallback is not None:
            self._record.start_step(self._name)
            return StepState.COMPLETED, await self._calls.fall_back(item, fallback)
        when = self._step.when
        if when is not None and not await self._truth("when", when, item.variables):
            return StepState.SKIPPED, None
        await self._context.reset_gate.pass_gate(self._name, item.scope)  # before a round is counted
        self._record.start_step(self._name)
        await self._require(item)
        return StepState.COMPLETED, await self._calls.attempt(item)

    async def _require(self, item: StepItem) -> None:
        """Raises `Failed` where the world is not, or no longer, what the step was meant for."""
        source = self._step.precondition
        if source is None or await self._truth("precondition", source, item.variables):
            return
        failure = Failure(
            step=self._name, type=FailureType.PRECONDITION, message=f"the precondition {source!r} is false"
        )
        raise Failed(failure, not_applied=True)

    def _policy(self, failed: Failed, *, fell_back: bool) -> OnTrouble:
        rejected = failed.failure.type == FailureType.REJECTED
        policy = self._step.on_rejection if rejected else self._step.on_failure
        if fell_back:
            policy = "rollback"
        if isinstance(policy, RetryFrom) and self._record.reruns.get(self._name, 0) >= policy.rounds:
            policy = policy.then
        if self._record.committed and not isinstance(policy, Fallback | Escalate) and policy != "skip":
            return "escalate"  # nothing can be undone any more: a person decides
        return "rollback" if failed.failure.type in _NO_WAY_ON else policy

    async def _truth(self, key: str, source: str, variables: dict[str, Any]) -> bool:
        answer = await self._pace.evaluate(source, variables)
        if not isinstance(answer, bool):
            raise ExpressionError(f"{key}: {source!r} must be true or false, not {answer!r}")
        return answer

    def _expression_failed(self, error: ExpressionError) -> Failed:
        return Failed(Failure(step=self._name, type=FailureType.EXPRESSION, message=str(error)))

    async def _take_back(self, item: StepItem, failed: Failed) -> None:
        entries = self._run.entries_under(item.path) - self._record.protected
        if not await self._context.rollback.run(str(failed.failure), within=entries, scope=item.scope):
            raise failed

    # --- people

    async def _escalate(
        self, item: StepItem, failed: Failed, asking: Escalation
    ) -> tuple[StepState, Any] | None:
        """Asks a person what is to become of the step; None for another attempt."""
        actions: dict[str, Check | None] = {"retry": None, "skip": None, "supply": self._calls.fault_of(item)}
        if not self._record.committed:
            actions["rollback"] = None
        elif Effect.PIVOT in effects_of(self._step, self._context.catalog):
            del actions["retry"]  # its pivot was applied, and is not to be applied again
        while True:
            answer = await self._ask(item, failed, actions, asking)
            match answer.action:
                case "retry":
                    return None
                case "skip":
                    return StepState.SKIPPED, None
                case "rollback":
                    raise failed
            try:
                await self._calls.check_supplied(item, answer.value, answer.by)
            except Stopped:
                raise
            except Failed as refused:
                failed = refused
            else:
                return StepState.COMPLETED, answer.value

    async def _ask(
        self, item: StepItem, failed: Failed, actions: dict[str, Check | None], asking: Escalation
    ) -> Answer:
        self._record.wait_step(self._name)
        terms = self._terms(item, asking, actions)
        name = item.path if "[" in item.path else self._name
        ask = f"{failed.failure}; what now?"
        questions = self._context.questions
        show = self._calls.evidence_of(item)
        return await questions.ask(name, "escalated", ask, actions, item.scope, show=show, terms=terms)

    def _terms(self, item: StepItem, asking: Escalation, actions: Collection[str]) -> Terms:
        not_by = asking.not_by
        try:
            names = () if not_by is None else names_of(not_by, item.variables, "escalate.not_by")
        except ExpressionError as error:
            raise self._expression_failed(error) from None
        terms = Terms.of_asking(asking, asking.default or "rollback", names)
        # Past the point of no return nothing is rolled back, however late it is.
        return terms if terms.default in actions else replace(terms, deadline=None)

    def _note(self, what: str, failed: Failed) -> None:
        self._record.log.add("counterstep", what, self._name, str(failed.failure))


def _reads_item(source: str) -> bool:
    return any(path.root in ("item", "index") for path in compile_expression(source).paths)


def _state_of(failed: Failed) -> StepState:
    if isinstance(failed, Stopped):
        return StepState.CANCELLED
    return StepState.REJECTED if failed.failure.type == FailureType.REJECTED else StepState.FAILED
