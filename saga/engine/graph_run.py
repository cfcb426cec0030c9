"""Runs a graph of steps: each starts as soon as what it needs has ended, side by side with others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from temporalio import workflow

from ..effect import Effect
from ..failure import Failed, RetryFromStep, Stopped
from ..record.step_record import DONE, StepRecord, StepState
from ..spec.graph import Graph
from ..spec.rules.pivot_rules import effects_of
from ..spec.task_spec import Step
from ..temporal.stop_scope import StopScope
from .doubts import Doubts
from .redo import Redo
from .run_context import RunContext
from .running_steps import RunningSteps
from .steps.step_run import StepRun


class GraphRun:
    """Runs the steps of a task, or of one group.

    Attributes:
        context: What the task is run with.
        prefix: Path of the group, with a slash at the end; empty for the task itself.
        scope: What is stopped when one of the steps fails.
        graph: The steps and their order.
        running: Those that run.
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
        self.running = RunningSteps()
        self._doubts = Doubts(self, context.record, context.rollback, context.engine)
        self._deciding: asyncio.Task[None] | None = None
        self._waits_for_plan = False
        self._to_compare: deque[str] = deque()
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
            self._decide()
            self._start_ready()
            if not self.running.ids and self._redo is None and self._deciding is None:
                break
            self._waits_for_plan = self._doubts.exist and self._at_pivot()
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
        if self.scope.stopped or self._at_pivot() or self._pause():
            return
        ready = [step for step in self.graph.steps.values() if self._is_ready(step)]
        pivot = next((step for step in ready if step.id in self._pivots), None)
        if pivot is not None:
            # It starts when everything else has settled, and nothing starts beside it.
            unsettled = self._redo is not None or self._doubts.exist_beside(pivot.id)
            beside = self.running.ids - self.graph.dependents([pivot.id])
            ready = [] if beside or unsettled else [pivot]
        for step in ready:
            scope = StopScope(self.scope)
            run = StepRun(self, step, scope, self._doubts.reason)
            self.running.begin(step.id, run, scope)

    def _at_pivot(self) -> bool:
        """Says whether nothing may start beside what runs: the pivot, or a plan that may come to one."""
        return any(not self.running.is_held(step_id) for step_id in self._pivots & self.running.ids)

    def _is_ready(self, step: Step) -> bool:
        if step.id in self.running.ids or step.id in self._redoing or self._doubts.about(step.id):
            return False
        needs = self.graph.needs[step.id]
        return self._state(step.id) is StepState.PENDING and all(self._state(need) in DONE for need in needs)

    def _has_news(self) -> bool:
        if self.running.have_ended():
            return True
        if self._deciding is not None and self._deciding.done():
            return True
        if self._deciding is None and self._doubts.have_news and not self.scope.stopped:
            return True
        if self._waits_for_plan and not self._at_pivot():
            return True
        return bool(self._redos) and not self.scope.stopped if self._redo is None else self._redo.done()

    def _collect(self) -> None:
        for step_id, error, was_to_end in self.running.take_ended():
            if error is None and self._doubts.is_compared(step_id):
                self._to_compare.append(step_id)
            if error is None or step_id in self._redoing or was_to_end:
                continue  # what is undone and run again may have ended in any way
            if self._doubts.about(step_id) and not self.scope.stopped and isinstance(error, Failed):
                self._doubts.has_failed(step_id)
            elif isinstance(error, RetryFromStep) and not self.scope.stopped:
                self._go_back(step_id, error)
            else:
                self._fail(error)
        if self._redo is not None and self._redo.done():
            error = self._redo.exception()
            self._redo, self._redoing = None, frozenset()
            if error is not None:
                self._fail(error)
        if self._deciding is not None and self._deciding.done():
            error, self._deciding = self._deciding.exception(), None
            if error is not None:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._first is None or isinstance(self._first, Stopped):
            self._first = error
            self.scope.stop(f"{error}")

    # --- going back

    def redo(self, redo: Redo) -> None:
        """Has steps done again; several that are undone at once are so one after the other."""
        if redo.first:
            self._doubts.add(redo)
        else:
            self._redos.append(redo)

    @property
    def committed(self) -> frozenset[str]:
        """The pivot, once it was applied, and what it waited for."""
        steps, committed = self.context.record.steps, self.context.record.committed
        passed = frozenset(p for p in self._pivots if committed or steps[self.name_of(p)].is_done_elsewhere)
        return passed.union(*(self.graph.ancestors(step_id) for step_id in passed))

    def past(self) -> frozenset[str]:
        """Returns the steps that cannot be done again: the applied pivot, and what it was built on."""
        record = self.context.record
        return self.committed | {
            step_id
            for step_id in self.graph.steps
            if not record.protected.isdisjoint(record.ledger.under(f"{self.prefix}{step_id}"))
        }

    @property
    def has_redos(self) -> bool:
        """True where steps have to be undone before anything else."""
        return bool(self._redos)

    @property
    def is_in_doubt(self) -> bool:
        """True where it is not known yet which steps have to be done again."""
        return self._doubts.exist

    def started(self, step_ids: Collection[str]) -> list[str]:
        """Returns those of the steps that run, or have run, in the order of the document."""
        return [
            step_id
            for step_id in self.graph.steps
            if step_id in step_ids
            and (self._state(step_id) is not StepState.PENDING or step_id in self.running.ids)
        ]

    def _go_back(self, step_id: str, again: RetryFromStep) -> None:
        failure, name = again.failure, self.name_of(step_id)
        self.context.record.rerun_step(name)
        verdicts = [
            v.model_dump(mode="json") for v in self.context.record.steps[name].verdicts if not v.passed
        ]
        told = {"step": name, "type": failure.type, "message": failure.message, "verdicts": verdicts}
        self.context.record.log.decide("retry", f"goes back to {again.back_to}", name, str(failure))
        behind = self.graph.dependents([again.back_to])
        planned = any(self.graph.steps[name].key is not None for name in behind)
        first = frozenset({again.back_to, step_id}) if planned else frozenset[str]()
        self.redo(Redo(behind, failure, [told], first))

    def _start_redo(self) -> None:
        if self._redo is not None or not self._redos or self.scope.stopped:
            return
        redo = self._redos.popleft()
        self._redoing = redo.steps
        self._redo = asyncio.create_task(self._take_back(redo))

    async def _take_back(self, redo: Redo) -> None:
        await self.running.end(redo.steps, f"it runs again: {redo.failure.message}")
        record = self.context.record
        steps = redo.steps - self.past()
        if steps != redo.steps:
            record.log.add("counterstep", "too late, past the point of no return", "", redo.failure.message)
        paths = [f"{self.prefix}{step_id}" for step_id in steps]
        entries = frozenset[str]().union(*map(record.ledger.under, paths)) - record.protected
        if not await self.context.rollback.run(str(redo.failure), within=entries, scope=self.scope):
            raise Failed(redo.failure)
        for path in paths:
            record.plans.forget(path)
        for step_id in self.started(steps):
            name = self.name_of(step_id)
            record.reset_step(name)
            record.tell_step(name, redo.feedback)

    def _decide(self) -> None:
        """Goes on with what may have to be done again, one decision at a time."""
        if self._deciding is not None or self.scope.stopped:
            return
        if self._to_compare:
            self._deciding = asyncio.create_task(self._doubts.settle(self._to_compare.popleft()))
            return
        step_id = self._doubts.next()
        if step_id is not None:
            self._deciding = asyncio.create_task(self._doubts.redo(step_id))

    async def make_way(self, step_id: str, entries: frozenset[str]) -> None:
        """Has the steps undone, and done again, whose effects build on entries of a step."""
        await self._doubts.make_way(step_id, entries)

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
            self.context.record.plans.forget(f"{prefix}{step.id}")
        await inner.run()
        return inner

    def variables(self) -> dict[str, Any]:
        """Returns what expressions of these steps see."""
        outer_steps = self._outer.get("steps", {})
        facts = self.context.record.facts
        return {"feedback": [], **self._outer, "facts": facts, "steps": {**outer_steps, **self.own_steps()}}

    def is_paused(self) -> bool:
        """Says whether nothing more is to be begun in this run of the workflow."""
        return self._pause()

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
