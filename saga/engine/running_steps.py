"""The steps of a graph that run just now."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass

from temporalio import workflow

from ..plans.plan_run import PlanRun
from ..temporal.stop_scope import StopScope
from .steps.step_run import StepRun


@dataclass(frozen=True, slots=True)
class _Running:
    run: StepRun
    task: asyncio.Task[None]
    scope: StopScope


class RunningSteps:
    """The steps of one graph that run.

    Attributes:
        ids: Their ids.
    """

    def __init__(self) -> None:
        """Runs none yet."""
        self._steps: dict[str, _Running] = {}
        self._ending: set[str] = set()

    @property
    def ids(self) -> Set[str]:
        """Their ids."""
        return self._steps.keys()

    def begin(self, step_id: str, run: StepRun, scope: StopScope) -> None:
        """Begins a step."""
        self._steps[step_id] = _Running(run, asyncio.create_task(run.run()), scope)

    def have_ended(self) -> bool:
        """Says whether one of them has ended."""
        return any(running.task.done() for running in self._steps.values())

    def take_ended(self) -> Iterator[tuple[str, BaseException | None, bool]]:
        """Yields those that have ended, each with its error, and whether it was to end; they run no more."""
        for step_id in [step_id for step_id, running in self._steps.items() if running.task.done()]:
            yield step_id, self._steps.pop(step_id).task.exception(), step_id in self._ending

    async def end(self, step_ids: Collection[str], reason: str) -> None:
        """Stops steps, and waits until `take_ended` has yielded them."""
        chosen = frozenset(step_ids)
        for step_id, running in self._steps.items():
            if step_id in chosen:
                self._ending.add(step_id)
                running.scope.stop(reason)
        await workflow.wait_condition(lambda: chosen.isdisjoint(self._steps))
        self._ending -= chosen

    # --- plans

    def hold(self, step_id: str) -> None:
        """Has a plan that runs begin no more items."""
        plan = self._plan(step_id)
        if plan is not None:
            plan.hold()

    def release(self, step_id: str) -> None:
        """Has it go on."""
        plan = self._plan(step_id)
        if plan is not None:
            plan.release()

    def is_held(self, step_id: str) -> bool:
        """Says whether a plan begins nothing for now, and is not in the middle of its pivot."""
        plan = self._plan(step_id)
        return plan is not None and plan.is_held

    def revise(self, step_id: str, reason: str) -> bool:
        """Has it read its plan again; False where no plan runs there."""
        plan = self._plan(step_id)
        if plan is None or self._steps[step_id].task.done():
            return False
        plan.revise(reason)
        return True

    def _plan(self, step_id: str) -> PlanRun | None:
        running = self._steps.get(step_id)
        return None if running is None else running.run.plan
