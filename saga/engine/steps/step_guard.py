"""Checks the input of a step before anything is called."""

from __future__ import annotations

from typing import Any

from ...spec.graph import targets
from ...spec.task_spec import Step
from ...verification.input_guard import Given
from .step_surroundings import StepItem, Surroundings


class StepGuard:
    """Checks what the items of one step are given; what was let in once is not checked again.

    Attributes:
        refused: The paths of the items whose input was refused.
    """

    def __init__(self, run: Surroundings, step: Step) -> None:
        """Prepares to check the input of one step of a graph."""
        self.refused: set[str] = set()
        self._let_in: set[str] = set()
        self._run = run
        self._step = step
        self._name = run.name_of(step.id)

    async def check(self, item: StepItem, value: Any, name: str) -> None:
        """Checks an input; each verdict is one of the step's.

        Args:
            item: Whose input it is.
            value: The input.
            name: What is to be called with it.

        Raises:
            Failed: It was refused (type ``Rejected``); certainly nothing was called.
            Stopped: The scope of the item was stopped.
        """
        if not self._step.guard or item.path in self._let_in:
            return
        self.refused.discard(item.path)
        context = self._run.context
        given = Given(
            name=name,
            step=self._name,
            path=item.path,
            round=context.record.next_round(f"{item.path}/guard"),
            input=value,
            variables=item.variables,
            steps=self._run.outputs_before(self._step.id),
            authors=self._models(),
        )
        verdicts = await context.guard.weigh(given, self._step.guard, item.scope)
        for verdict in verdicts:
            context.record.judge(self._name, verdict)
        refused = [verdict for verdict in verdicts if not verdict.passed]
        if refused:
            self.refused.add(item.path)
            raise context.guard.refusal(given, refused)
        self._let_in.add(item.path)

    def _models(self) -> frozenset[str]:
        """Returns the models that may be given the input."""
        names = [*(name for _, name in targets(self._step)), *self._step.fallbacks]
        return frozenset(self._run.context.catalog.models_behind(names) | {*self._step.other_models})
