"""A step whose items have keys: the list that it reads is a plan, and may be another one later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...effect import Effect
from ...errors import ExpressionError
from ...expressions.expression import compile_expression
from ...failure import Failed
from ...people.step_question import fits
from ...plans.plan_faults import MOST_ORDERED, MOST_TOLD, key_fault, plan_faults
from ...plans.plan_run import PlanRun
from ...plans.plan_work import ReadPlan
from ...plans.planned_item import PlannedItem, likeness_of
from ...record.plan_book import ItemRecord
from ...record.step_record import StepState
from ...spec.graph import every_step, places
from ...spec.rules.pivot_rules import effects_of
from ...spec.task_spec import Step
from ...temporal.stop_scope import StopScope
from .item_runs import ItemRuns
from .step_surroundings import StepItem, Surroundings
from .step_target import StepTarget


class KeyedStep:
    """The items of one step as a plan.

    Attributes:
        plan: Runs them.
        is_wanted: False once the step as a whole was not wanted.
    """

    def __init__(self, run: Surroundings, step: Step, scope: StopScope, runs: ItemRuns) -> None:
        """Prepares one step of a graph.

        Args:
            run: The graph.
            step: The step; it has a `key`.
            scope: What it is stopped with.
            runs: Runs its items.
        """
        assert step.for_each is not None and step.key is not None
        self.is_wanted = True
        self._skips = False
        self._run = run
        self._step = step
        self._for_each, self._key = step.for_each, step.key
        self._runs = runs
        self._pace = run.context.load.pace
        self._engine = run.context.engine
        self._target = StepTarget(run, step)
        self._uses_results = _reads_results(step)
        self.plan = PlanRun(
            run.context.record,
            run.context.rollback,
            self,
            step.id,
            f"{run.prefix}{step.id}",
            scope,
            closure=step.keep == "closure",
            most=step.max_parallel,
            engine=self._engine,
        )

    # --- what `PlanWork` asks for

    async def read(self) -> ReadPlan:
        """Reads the plan as the expressions of the step give it now, and checks all of it."""
        try:
            values = None if self._skips else await self._runs.items(self._for_each)
        except ExpressionError as error:
            return ReadPlan((), [str(error)])
        if self._step.after is not None and values is not None and len(values) > MOST_ORDERED:
            return ReadPlan((), [f"a plan with an order has {MOST_ORDERED} items at most, not {len(values)}"])
        self.is_wanted = values is not None
        variables = self._runs.variables()
        items: list[PlannedItem] = []
        faults: list[str] = []
        for index, value in enumerate(values or ()):
            await self._pace.turn(_EFFORT)
            try:
                items.append(await self._planned(index, value, variables, faults))
            except ExpressionError as error:
                faults.append(f"item {index}: {error}")
        faults += plan_faults(items)
        return ReadPlan(items, faults[:MOST_TOLD])

    async def refused(self, faults: Sequence[str]) -> None:
        """Does what the step says about a rejection."""
        self._skips = await self._runs.refuse_plan(faults)

    async def do(
        self, item: PlannedItem, results: dict[str, Any], after: frozenset[str], scope: StopScope
    ) -> tuple[StepState, Any]:
        """Runs one item as any step runs its items."""
        variables = self._scope_of(item.index, item.value, self._runs.variables())
        if self._step.after is not None:
            variables["done"] = results
        return await self._runs.item(StepItem(self.plan.path_of(item.key), variables, scope, after))

    def entries_before(self) -> frozenset[str]:
        """Returns what calls of the step build on."""
        return self._run.entries_before(self._step.id)

    async def make_way(self, entries: frozenset[str], reason: str) -> None:
        """Has the steps undone that build on entries."""
        await self._run.make_way(self._step.id, entries)

    async def is_frozen(self, begun: ItemRecord) -> bool:
        """Says whether an item may not be undone any more."""
        source = self._step.frozen
        if source is None:
            return False
        scope = self._scope_of(begun.index, begun.value, self._runs.variables())
        answer = await self._pace.evaluate(source, scope)
        if self._engine >= 6 and not isinstance(answer, bool):
            raise ExpressionError(f"{source!r} is neither true nor false")
        return answer is True

    def is_paused(self) -> bool:
        """Says whether no more items are to be begun in this run of the workflow."""
        return self._run.is_paused()

    # --- one item

    def _scope_of(self, index: int, value: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
        return {**variables, "item": value, "index": index}

    async def _planned(
        self, index: int, value: Any, variables: Mapping[str, Any], faults: list[str]
    ) -> PlannedItem:
        """Returns an item, also where its call has faults: others may come after it."""
        scope = self._scope_of(index, value, variables)
        key = await self._pace.evaluate(self._key, scope)
        fault = key_fault(key)
        if fault is not None:
            raise ExpressionError(f"{self._key}: {fault}")
        item = PlannedItem(key, index, value)
        try:
            item = replace(item, after=await self._after(scope))
            return await self._with_call(item, scope, variables)
        except (ExpressionError, Failed) as error:
            message = error.failure.message if isinstance(error, Failed) else str(error)
            faults.append(f"{key}: {message}")
            return item

    async def _with_call(
        self, planned: PlannedItem, scope: dict[str, Any], variables: Mapping[str, Any]
    ) -> PlannedItem:
        """Adds what the item calls; raises what is wrong with that."""
        item = StepItem(self.plan.path_of(planned.key), scope, self.plan.scope)
        target = self._target.of(item) if self._step.kind in ("agent", "tool", "team") else None
        name = target.name if target is not None else ""
        seen = {"item": planned.value} if self._uses_results else await self._seen_by(item, variables)
        if target is not None and "input" in seen:
            wrong = fits(target.input_schema)(seen["input"])
            if wrong is not None:
                raise ExpressionError(f"{name} cannot take {wrong}")
        return replace(
            planned,
            likeness=likeness_of([name, seen], self._engine),
            effect=self._effect(name),
            target=name,
            uses_results=self._uses_results,
        )

    async def _seen_by(self, item: StepItem, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what an item would be given now: where that is the same, it is the same call."""
        step = self._step
        seen: dict[str, Any] = {}
        if step.when is not None:
            seen["when"] = await self._pace.evaluate(step.when, item.variables)
        if step.kind in ("agent", "tool", "team", "workflow"):
            seen["input"] = await self._pace.render(step.input, item.variables, "input")
        else:
            read = {str(path.parts[0]) for path in _paths_in(step) if path.root == "steps" and path.parts}
            steps = variables["steps"]
            seen["item"] = item.variables["item"]
            seen["steps"] = {name: steps[name]["output"] for name in sorted(read & steps.keys())}
        return seen

    async def _after(self, scope: Mapping[str, Any]) -> tuple[str, ...]:
        if self._step.after is None:
            return ()
        after = await self._pace.evaluate(self._step.after, scope)
        if after is None:
            return ()
        if not isinstance(after, list) or not all(isinstance(name, str) for name in after):
            raise ExpressionError(f"after: {self._step.after!r} must give a list of keys, not {after!r}")
        return tuple(dict.fromkeys(after))

    def _effect(self, name: str) -> Effect:
        step = self._step
        if name and step.kind != "team":
            step = step.model_copy(update={step.kind: name, "one_of": ()})
        found = effects_of(step, self._run.context.catalog)
        for worst in (Effect.PIVOT, Effect.COMPENSATABLE, Effect.RETRIABLE):
            if worst in found:
                return worst
        return Effect.READ_ONLY


_EFFORT = 300
"""Microseconds that the check of one item takes."""


def _paths_in(step: Step) -> list[Any]:
    sources = [place.source for inner in every_step([step]) for place in places(inner)]
    return [path for source in sources for path in compile_expression(source).paths]


def _reads_results(step: Step) -> bool:
    return any(path.root == "done" for path in _paths_in(step))
