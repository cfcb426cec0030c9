"""Runs a graph of steps: each starts as soon as what it needs has ended, side by side with others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow

from ..effect import Effect
from ..failure import Failed, Failure, RetryFromStep, Stopped
from ..record.step_record import StepRecord, StepState
from ..spec.graph import Graph
from ..spec.rules.pivot_rules import effects_of
from ..spec.task_spec import Step
from ..temporal.stop_scope import StopScope
from .run_context import RunContext
from .step_run import StepRun

_DONE = frozenset({StepState.COMPLETED, StepState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Redo:
    """Steps that are to be undone and run again.

    Attributes:
        steps: Which, with all that depend on them.
        failure: Why; every compensation is told, and it ends the task if an undo stays stuck.
        feedback: What the steps that run again are told.
    """

    steps: frozenset[str]
    failure: Failure
    feedback: list[dict[str, Any]] = field(default_factory=list)


class GraphRun:
    """Runs the steps of a task, or of one group.

    Attributes:
        context: What the task is run with.
        prefix: Path of the group, with a slash at the end; empty for the task itself.
        scope: What is stopped when one of the steps fails.
        graph: The steps and their order.
        before_pivot: Checks the whole task right before its pivot.
    """

    def __init__(
        self,
        context: RunContext,
        steps: Sequence[Step],
        *,
        prefix: str,
        scope: StopScope,
        variables: Mapping[str, Any],
        depends_on: frozenset[str],
        before_pivot: Callable[[], Awaitable[None]],
        pause: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepares a run.

        Args:
            context: See the attributes.
            steps: The steps.
            prefix: See the attributes.
            scope: See the attributes.
            variables: What expressions see from outside.
            depends_on: Ledger entries that every step here builds on.
            before_pivot: See the attributes.
            pause: Says whether no more steps are to be started for now.
        """
        self._pause = pause
        self.context = context
        self.prefix = prefix
        self.scope = scope
        self.graph = Graph(steps)
        self.before_pivot: Callable[[], Awaitable[None]] = before_pivot
        self._outer = variables
        self._depends_on = depends_on
        self._before: dict[str, tuple[tuple[int, ...], frozenset[str]]] = {}
        self._pivots = {s.id for s in steps if Effect.PIVOT in effects_of(s, context.catalog)}
        self._running: dict[str, tuple[asyncio.Task[None], StopScope]] = {}
        self._redoing: frozenset[str] = frozenset()
        self._redo: asyncio.Task[None] | None = None
        self._redos: deque[Redo] = deque()
        self._first: BaseException | None = None
        for step in steps:
            if self.name_of(step.id) not in context.record.steps:
                progress = StepRecord(step.kind, step.label, self.graph.needs[step.id])
                context.record.add_step(self.name_of(step.id), progress)

    async def run(self) -> bool:
        """Runs all steps to their ends; called again it runs what is left, or is to be redone since.

        Returns:
            True when every step has ended; False when it has paused, and nothing runs.

        Raises:
            Failed: The first failure of a step; everything else has been stopped and has ended.
            Stopped: The scope was stopped from outside, and everything has ended.
        """
        while True:
            self._start_redo()
            self._start_ready()
            if not self._running and self._redo is None:
                break
            await workflow.wait_condition(self._has_news)
            self._collect()
        if self._first is not None:
            raise self._first
        pending = [step_id for step_id in self.graph.steps if self._state(step_id) is StepState.PENDING]
        if pending and self._pause():
            return False
        if pending:
            self.scope.check(self.name_of(pending[0]))
            raise RuntimeError(f"steps {pending} can never start")
        return True

    # --- going forward

    def _start_ready(self) -> None:
        if self.scope.stopped or self._pivots & self._running.keys() or self._pause():
            return
        ready = [step for step in self.graph.steps.values() if self._is_ready(step)]
        pivot = next((step for step in ready if step.id in self._pivots), None)
        if pivot is not None:
            # It starts when everything else has settled, and nothing starts beside it.
            ready = [] if self._running or self._redo is not None else [pivot]
        for step in ready:
            scope = StopScope(self.scope)
            self._running[step.id] = (asyncio.create_task(StepRun(self, step, scope).run()), scope)

    def _is_ready(self, step: Step) -> bool:
        if step.id in self._running or step.id in self._redoing:
            return False
        needs = self.graph.needs[step.id]
        return self._state(step.id) is StepState.PENDING and all(self._state(need) in _DONE for need in needs)

    def _has_news(self) -> bool:
        if any(task.done() for task, _ in self._running.values()):
            return True
        return bool(self._redos) and not self.scope.stopped if self._redo is None else self._redo.done()

    def _collect(self) -> None:
        for step_id in [step_id for step_id, (task, _) in self._running.items() if task.done()]:
            task, _ = self._running.pop(step_id)
            error = task.exception()
            if error is None or step_id in self._redoing:
                continue  # what is undone and run again may have ended in any way
            if isinstance(error, RetryFromStep) and not self.scope.stopped:
                self._go_back(step_id, error)
            else:
                self._fail(error)
        if self._redo is not None and self._redo.done():
            error = self._redo.exception()
            self._redo, self._redoing = None, frozenset()
            if error is not None:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._first is None or isinstance(self._first, Stopped):
            self._first = error
            self.scope.stop(f"{error}")

    # --- going back

    def redo(self, redo: Redo) -> None:
        """Has steps undone and run again; several of these are done one after the other."""
        self._redos.append(redo)

    @property
    def committed(self) -> frozenset[str]:
        """The pivot, once it was applied, and what it waited for."""
        passed = frozenset(step_id for step_id in self._pivots if self.context.record.committed)
        return passed.union(*(self.graph.ancestors(step_id) for step_id in passed))

    def _past(self) -> frozenset[str]:
        """Returns the steps that cannot be done again: the applied pivot, and what it was built on."""
        record = self.context.record
        return self.committed | {
            step_id
            for step_id in self.graph.steps
            if not record.protected.isdisjoint(record.ledger.under(f"{self.prefix}{step_id}"))
        }

    @property
    def has_redos(self) -> bool:
        """True where `run` has to be called again."""
        return bool(self._redos)

    def started(self, step_ids: Collection[str]) -> list[str]:
        """Returns those of the steps that run, or have run, in the order of the document."""
        return [
            step_id
            for step_id in self.graph.steps
            if step_id in step_ids
            and (self._state(step_id) is not StepState.PENDING or step_id in self._running)
        ]

    def _go_back(self, step_id: str, again: RetryFromStep) -> None:
        failure, name = again.failure, self.name_of(step_id)
        self.context.record.rerun_step(name)
        verdicts = [
            v.model_dump(mode="json") for v in self.context.record.steps[name].verdicts if not v.passed
        ]
        told = {"step": name, "type": failure.type, "message": failure.message, "verdicts": verdicts}
        self.context.record.log.add("counterstep", f"goes back to {again.back_to}", name, str(failure))
        self.redo(Redo(self.graph.dependents([again.back_to]), failure, [told]))

    def _start_redo(self) -> None:
        if self._redo is not None or not self._redos or self.scope.stopped:
            return
        redo = self._redos.popleft()
        self._redoing = redo.steps
        self._redo = asyncio.create_task(self._take_back(redo))

    async def _take_back(self, redo: Redo) -> None:
        running = [scope for step_id, (_, scope) in self._running.items() if step_id in redo.steps]
        for scope in running:
            scope.stop(f"it runs again: {redo.failure.message}")
        await workflow.wait_condition(lambda: not redo.steps & self._running.keys())
        record = self.context.record
        steps = redo.steps - self._past()
        if steps != redo.steps:
            record.log.add("counterstep", "too late, past the point of no return", "", redo.failure.message)
        paths = [f"{self.prefix}{step_id}" for step_id in steps]
        entries = frozenset[str]().union(*map(record.ledger.under, paths)) - record.protected
        if not await self.context.rollback.run(str(redo.failure), within=entries, scope=self.scope):
            raise Failed(redo.failure)
        for step_id in self.started(steps):
            name = self.name_of(step_id)
            record.reset_step(name)
            record.tell_step(name, redo.feedback)

    # --- what the steps see

    def name_of(self, step_id: str) -> str:
        """Returns what the board calls a step: its id, with its item where a group is run several times."""
        return f"{self.prefix}{step_id}" if "[" in self.prefix else step_id

    async def run_inside(
        self,
        steps: Sequence[Step],
        prefix: str,
        scope: StopScope,
        variables: Mapping[str, Any],
        depends_on: frozenset[str],
    ) -> GraphRun:
        """Runs the steps inside a group, as `run` does, and returns what they ran in."""
        inner = GraphRun(
            self.context,
            steps,
            prefix=prefix,
            scope=StopScope(scope),
            variables=variables,
            depends_on=depends_on,
            before_pivot=self.before_pivot,
        )
        for step in steps:
            self.context.record.reset_step(inner.name_of(step.id))
        await inner.run()
        return inner

    def variables(self) -> dict[str, Any]:
        """Returns what expressions of these steps see."""
        outer_steps = self._outer.get("steps", {})
        facts = self.context.record.facts
        return {"feedback": [], **self._outer, "facts": facts, "steps": {**outer_steps, **self.own_steps()}}

    def own_steps(self) -> dict[str, dict[str, Any]]:
        """Returns state and output of the steps here, by id."""
        found = {}
        for step_id in self.graph.steps:
            progress = self.context.record.steps[self.name_of(step_id)]
            found[step_id] = {"state": progress.state.value, "output": progress.output}
        return found

    def outputs_before(self, step_id: str) -> dict[str, Any]:
        """Returns the outputs of the steps that `step_id` waits for, directly or not."""
        steps = self.variables()["steps"]
        names = self.graph.ancestors(step_id) | set(self._outer.get("steps", {}))
        return {name: steps[name]["output"] for name in sorted(names) if steps[name]["state"] == "completed"}

    def entries_before(self, step_id: str) -> frozenset[str]:
        """Returns the ledger entries that a call of `step_id` builds on."""
        ledger = self.context.record.ledger
        paths = [f"{self.prefix}{name}" for name in sorted(self.graph.ancestors(step_id))]
        counted = tuple(map(ledger.count_under, paths))
        known = self._before.get(step_id)
        if known is None or known[0] != counted:
            # The same set for all items: the ledger then knows it again.
            known = counted, self._depends_on.union(*map(ledger.under, paths))
            self._before[step_id] = known
        return known[1]

    def entries_under(self, path: str) -> frozenset[str]:
        """Returns the ledger entries of one step, item or group."""
        return self.context.record.ledger.under(path)

    def _state(self, step_id: str) -> StepState:
        return self.context.record.steps[self.name_of(step_id)].state
