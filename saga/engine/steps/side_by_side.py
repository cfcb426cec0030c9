"""The items of a step, side by side."""

from __future__ import annotations

import asyncio
from typing import Any

from ...failure import Failed, Stopped
from ...spec.task_spec import Step
from ...temporal.stop_scope import StopScope
from .item_runs import ItemRuns
from .step_surroundings import StepItem, Surroundings


class SideBySide:
    """Runs the items of one step, which have no order among them."""

    def __init__(self, run: Surroundings, step: Step, scope: StopScope, runs: ItemRuns) -> None:
        """Prepares one step of a graph.

        Args:
            run: The graph.
            step: The step; it has a `for_each`.
            scope: What it is stopped with.
            runs: Runs the items one by one.
        """
        self._run = run
        self._step = step
        self._path = f"{run.prefix}{step.id}"
        self._scope = scope
        self._runs = runs

    async def run(self, items: list[Any]) -> list[Any]:
        """Runs items to their ends.

        Returns:
            Their outputs in their order, None where one was skipped.

        Raises:
            Failed: An item failed; all others have been stopped and have ended.
            Stopped: The scope was stopped.
        """
        scope = StopScope(self._scope)
        gate = asyncio.Semaphore(self._step.max_parallel or max(len(items), 1))
        bounded = self._step.max_parallel is not None and self._run.context.engine >= 2
        ended = frozenset[str]()

        async def one(index: int, value: Any) -> Any:
            nonlocal ended
            variables = {**self._runs.variables(), "item": value, "index": index}
            path = f"{self._path}[{index}]"
            async with gate:
                # It may build on the items that ended before it began, and is undone before them.
                after = ended
                try:
                    _, output = await self._runs.item(StepItem(path, variables, scope, after))
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
