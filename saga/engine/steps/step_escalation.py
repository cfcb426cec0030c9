"""What a person is asked about a step that has failed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ...effect import Effect
from ...errors import ExpressionError, FailureType
from ...expressions.expression import compile_expression
from ...failure import Failed, Failure, RetryFromStep, Stopped
from ...people.questions import Check
from ...people.terms import Terms
from ...people.updates import Answer
from ...record.step_record import StepState
from ...spec.failure_policy import Escalation
from ...spec.rules.pivot_rules import effects_of
from ...spec.task_spec import Step
from .step_attempt import StepAttempt
from .step_surroundings import StepItem, Surroundings
from .step_wait import names_of


class StepEscalation:
    """Asks people what is to become of one step."""

    def __init__(self, run: Surroundings, step: Step, calls: StepAttempt) -> None:
        """Prepares for one step of a graph.

        Args:
            run: The graph.
            step: The step.
            calls: Knows what an attempt came to, and checks what a person supplies.
        """
        self._context = run.context
        self._record = run.context.record
        self._step = step
        self._name = run.name_of(step.id)
        self._calls = calls

    async def decide(
        self, item: StepItem, failed: Failed, asking: Escalation
    ) -> tuple[StepState, Any] | None:
        """Asks a person what is to become of the step; None for another attempt."""
        actions: dict[str, Check | None] = {"retry": None, "skip": None, "supply": self._calls.fault_of(item)}
        if not self._record.committed:
            actions |= self._going_back()
        elif Effect.PIVOT in effects_of(self._step, self._context.catalog):
            del actions["retry"]  # its pivot was applied, and is not to be applied again
        while True:
            answer = await self.ask(item, failed, actions, asking)
            match answer.action:
                case "retry":
                    return None
                case "skip":
                    return StepState.SKIPPED, None
                case "rollback":
                    raise failed
                case "replan":
                    raise RetryFromStep(failed, self._planner)
            try:
                await self._calls.check_supplied(item, answer.value, answer.by)
            except Stopped:
                raise
            except Failed as refused:
                failed = refused
            else:
                return StepState.COMPLETED, answer.value

    async def decide_plan(self, item: StepItem, failed: Failed, asking: Escalation) -> bool:
        """Asks a person what is to become of a plan that cannot be run; True to skip the step."""
        actions: dict[str, Check | None] = {"retry": None, "skip": None}
        if not self._record.committed:
            actions |= self._going_back()
        action = (await self.ask(item, failed, actions, asking)).action
        if action == "replan":
            raise RetryFromStep(failed, self._planner)
        if action == "rollback":
            raise failed
        return action == "skip"

    def _going_back(self) -> dict[str, Check | None]:
        return {"replan": None, "rollback": None} if self._planner else {"rollback": None}

    @property
    def _planner(self) -> str:
        """The step that makes the plan; empty where the step has none."""
        if self._step.key is None or self._step.for_each is None:
            return ""
        paths = compile_expression(self._step.for_each).paths
        return next((str(path.parts[0]) for path in paths if path.root == "steps" and path.parts), "")

    async def ask(
        self, item: StepItem, failed: Failed, actions: dict[str, Check | None], asking: Escalation
    ) -> Answer:
        """Asks people which of some actions is to be taken, and returns what they say."""
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
            failure = Failure(step=self._name, type=FailureType.EXPRESSION, message=str(error))
            raise Failed(failure) from None
        terms = Terms.of_asking(asking, asking.default or "rollback", names)
        # Past the point of no return nothing is rolled back, however late it is.
        return terms if terms.default in actions else replace(terms, deadline=None)
