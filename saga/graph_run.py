"""Runs a graph of steps: each starts as soon as what it needs has ended, side by side with others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from temporalio import workflow

from .failure import Stopped
from .graph import Graph
from .parts import Parts
from .progress import Progress, StepState
from .scope import StopScope
from .spec import Step
from .step_run import StepRun

_DONE = frozenset({StepState.COMPLETED, StepState.SKIPPED})


class GraphRun:
    """Runs the steps of a task, or of one group.

    Attributes:
        parts: What the task is run with.
        prefix: Path of the group, with a slash at the end; empty for the task itself.
        scope: What is stopped when one of the steps fails.
    """

    def __init__(
        self,
        parts: Parts,
        steps: Sequence[Step],
        *,
        prefix: str,
        scope: StopScope,
        variables: Mapping[str, Any],
        depends_on: frozenset[str],
    ) -> None:
        """Prepares a run.

        Args:
            parts: See the attributes.
            steps: The steps.
            prefix: See the attributes.
            scope: See the attributes.
            variables: What expressions see from outside.
            depends_on: Ledger entries that every step here builds on.
        """
        self.parts = parts
        self.prefix = prefix
        self.scope = scope
        self._graph = Graph(steps)
        self._outer = variables
        self._depends_on = depends_on
        for step in steps:
            target = step.target or f"group of {len(step.group.steps) if step.group else 0}"
            parts.book.add_step(
                self.name_of(step.id), Progress(step.kind, target, self._graph.needs[step.id])
            )

    async def run(self) -> None:
        """Runs all steps to their ends.

        Raises:
            Failed: The first failure of a step; everything else has been stopped and has ended.
            Stopped: The scope was stopped from outside, and everything has ended.
        """
        waiting = list(self._graph.steps.values())
        running: list[asyncio.Task[None]] = []
        first: BaseException | None = None
        while True:
            ready = [] if self.scope.stopped else [step for step in waiting if self._is_ready(step)]
            for step in ready:
                waiting.remove(step)
                running.append(asyncio.create_task(StepRun(self, step).run()))
            if not running:
                break
            done, running = await workflow.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is not None and (first is None or isinstance(first, Stopped)):
                    first = error
                    self.scope.stop(f"{error}")
        if first is not None:
            raise first
        if waiting:
            self.scope.check(self.name_of(waiting[0].id))
            raise RuntimeError(f"steps {[step.id for step in waiting]} can never start")

    def _is_ready(self, step: Step) -> bool:
        return all(
            self.parts.book.steps[self.name_of(need)].state in _DONE for need in self._graph.needs[step.id]
        )

    def name_of(self, step_id: str) -> str:
        """Returns what the board calls a step: its id, with its item where a group is run several times."""
        return f"{self.prefix}{step_id}" if "[" in self.prefix else step_id

    async def run_inside(
        self, step_id: str, steps: Sequence[Step], prefix: str, scope: StopScope, variables: Mapping[str, Any]
    ) -> GraphRun:
        """Runs the steps inside the group `step_id`, as `run` does, and returns what they ran in."""
        inner = GraphRun(
            self.parts,
            steps,
            prefix=prefix,
            scope=StopScope(scope),
            variables=variables,
            depends_on=self.entries_before(step_id),
        )
        await inner.run()
        return inner

    def variables(self) -> dict[str, Any]:
        """Returns what expressions of these steps see."""
        outer_steps = self._outer.get("steps", {})
        return {**self._outer, "steps": {**outer_steps, **self.own_steps()}}

    def own_steps(self) -> dict[str, dict[str, Any]]:
        """Returns state and output of the steps here, by id."""
        found = {}
        for step_id in self._graph.steps:
            progress = self.parts.book.steps[self.name_of(step_id)]
            found[step_id] = {"state": progress.state.value, "output": progress.output}
        return found

    def outputs_before(self, step_id: str) -> dict[str, Any]:
        """Returns the outputs of the steps that `step_id` waits for, directly or not."""
        steps = self.variables()["steps"]
        names = self._graph.ancestors(step_id) | set(self._outer.get("steps", {}))
        return {name: steps[name]["output"] for name in sorted(names) if steps[name]["state"] == "completed"}

    def entries_before(self, step_id: str) -> frozenset[str]:
        """Returns the ledger entries that a call of `step_id` builds on."""
        paths = [f"{self.prefix}{name}" for name in self._graph.ancestors(step_id)]
        if not paths:
            return self._depends_on
        return self._depends_on | self.parts.book.ledger.of(
            lambda entry: any(entry.is_under(p) for p in paths)
        )

    def entries_under(self, path: str) -> frozenset[str]:
        """Returns the ledger entries of one step, item or group."""
        return self.parts.book.ledger.of(lambda entry: entry.is_under(path))
