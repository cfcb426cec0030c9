"""Runs one step: its items, its attempts, and what follows a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import ExpressionError, FailureType
from ...expressions.expression import compile_expression
from ...failure import Failed, Failure, RetryFromStep, Stopped
from ...plans.plan_run import PlanRun
from ...record.no_way_on import is_no_way_on
from ...record.step_record import StepState
from ...spec.failure_policy import (
    AnyRung,
    Escalate,
    Escalation,
    Fallback,
    OtherModel,
    PlainRule,
    RetryFrom,
    rungs_of,
)
from ...spec.task_spec import Step
from ...temporal.stop_scope import StopScope
from ...verdict import Verdict
from .keyed_step import KeyedStep
from .side_by_side import SideBySide
from .step_attempt import StandIn, StepAttempt
from .step_escalation import StepEscalation
from .step_surroundings import StepItem, Surroundings

_ITEM_EFFORT = 300
"""Microseconds that the beginning of one item takes."""


class StepRun:
    """Runs one step of a graph to its end.

    Attributes:
        plan: Its items, where they have keys and run.
    """

    def __init__(self, run: Surroundings, step: Step, scope: StopScope, why: str = "") -> None:
        """Prepares to run one step of a graph.

        Args:
            run: The graph.
            step: The step.
            scope: What it is stopped with.
            why: Why it runs again, if it does.
        """
        self.plan: PlanRun | None = None
        self._why = why
        self._run = run
        self._scope = scope
        self._context = run.context
        self._record = run.context.record
        self._step = step
        self._name = run.name_of(step.id)
        self._path = f"{run.prefix}{step.id}"
        self._calls = StepAttempt(run, step)
        self._people = StepEscalation(run, step, self._calls)
        self._degraded: dict[str, str] = {}
        self._pace = run.context.load.pace

    async def run(self) -> None:
        """Runs the step and records how it ended.

        Raises:
            RetryFromStep: It failed, and the task is to go back to a step; the step's own undos have run.
            Failed: It failed, and the failure is not its own affair; its undos have not run yet.
            Stopped: Its scope was stopped before it was done.
        """
        self._record.policies.say(self._path, self._step.on_limit)
        if self._step.budget.binds:
            budget = self._step.budget
            self._record.spending.open(f"step {self._path}", self._path, f"step {self._name!r}", budget)
        try:
            ended = await self._all_items()
        except Failed as failed:
            self._record.end_step(self._name, _state_of(failed), error=str(failed.failure.message))
            raise
        if ended is None:
            self._record.reset_step(self._name)
            return
        if self._degraded:
            self._record.steps[self._name].degrade("; ".join(self._degraded.values()))
        self._record.end_step(self._name, *ended)

    # --- items

    def variables(self) -> dict[str, Any]:
        """Returns what expressions of the step see."""
        found = self._run.variables()
        return {**found, "feedback": self._record.feedback.get(self._name) or found["feedback"]}

    async def _all_items(self) -> tuple[StepState, Any] | None:
        """Returns how the step has ended; None where it has paused."""
        step = self._step
        if step.for_each is None:
            return await self.item(StepItem(self._path, self.variables(), self._scope))
        if step.key is not None:
            return await self._planned_items()
        while True:
            try:
                items = await self.items(step.for_each)
                break
            except ExpressionError as error:
                failed = self._expression_failed(error)
                if not self._record.committed:
                    raise failed from None
            answer = await self._people.ask(
                StepItem(self._path, self.variables(), self._scope),
                failed,
                {"retry": None, "skip": None},
                Escalation(),
            )
            if answer.action == "skip":
                return StepState.SKIPPED, None
        if items is None:
            return StepState.SKIPPED, None
        beside = SideBySide(self._run, step, self._scope, self)
        return StepState.COMPLETED, await beside.run(items)

    async def _planned_items(self) -> tuple[StepState, Any] | None:
        keyed = KeyedStep(self._run, self._step, self._scope, self)
        self.plan = keyed.plan
        outputs = await keyed.plan.run(self._why)
        if not keyed.is_wanted:
            return StepState.SKIPPED, None
        return None if outputs is None else (StepState.COMPLETED, outputs)

    async def refuse_plan(self, faults: Sequence[str]) -> bool:
        """Does what the step says about a rejection; nothing of the refused plan has begun.

        Returns:
            Whether the step is to be skipped; else the plan is to be read again.

        Raises:
            Failed: There is to be another plan, or none.
        """
        verdict = Verdict.reject(*faults).model_copy(update={"validator": "plan"})
        self._record.judge(self._name, verdict)
        message = f"the plan cannot be run: {'; '.join(faults)}"
        failure = Failure(step=self._name, type=FailureType.REJECTED, message=message)
        failed = Failed(failure, not_applied=True)
        policy, _ = self._next_rung(failed, None, refused=True)
        if isinstance(policy, RetryFrom):
            raise RetryFromStep(failed, policy.retry_from)
        if isinstance(policy, Escalate) or policy == "escalate":
            item = StepItem(self._path, self.variables(), self._scope)
            asking = policy.escalate if isinstance(policy, Escalate) else Escalation()
            return await self._people.decide_plan(item, failed, asking)
        if policy == "skip":
            return True
        raise failed

    async def items(self, source: str) -> list[Any] | None:
        """Returns the items of `for_each`; None where the step as a whole is not wanted."""
        variables = self.variables()
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

    # --- attempts, and what follows a failure

    async def item(self, item: StepItem) -> tuple[StepState, Any]:
        """Makes attempts, and does what the step says about a failure; each way undoes the step first."""
        await self._pace.turn(_ITEM_EFFORT)
        item.scope.check(self._name)
        rung: StandIn | None = None
        rest: Sequence[AnyRung] | None = None
        while True:
            self._expect_rung(item, rest)
            try:
                return await self._attempt(item, rung)
            except Stopped:
                raise
            except (Failed, ExpressionError) as error:
                failed = error if isinstance(error, Failed) else self._expression_failed(error)
                self._record.log.note_refusal(failed.failure, item.path)
                refused = item.path in self._calls.guard.refused
                policy, rest = self._next_rung(failed, rest, refused=refused)
                if policy == "rollback" or item.scope.stopped:
                    raise failed from error
            await self._take_back(item, failed)
            self._degraded.pop(item.path, None)
            rung = None
            if isinstance(policy, RetryFrom):
                raise RetryFromStep(failed, policy.retry_from)
            if isinstance(policy, StandIn):
                self._go_down(item, _told_of(policy), failed)
                rung = policy
                continue
            if policy == "skip":
                self._go_down(item, "skipped after a failure", failed)
                return StepState.SKIPPED, None
            self._decide(item, "a person is asked", failed)
            asking = policy.escalate if isinstance(policy, Escalate) else Escalation()
            decided = await self._people.decide(item, failed, asking)
            if decided is not None:
                return decided
            rest = None  # a person wants it tried again as if it were new

    def _expect_rung(self, item: StepItem, rest: Sequence[AnyRung] | None) -> None:
        """Says whether something else is tried at once where a model or tool is left alone for now."""
        rungs = rungs_of(self._step.on_failure) if rest is None else rest
        comes = bool(rungs) and rungs[0] != "rollback" and not isinstance(rungs[0], RetryFrom)
        self._record.policies.expect_rung(item.path, comes=comes)

    async def _attempt(self, item: StepItem, rung: StandIn | None) -> tuple[StepState, Any]:
        if rung is not None:
            self._record.start_step(self._name)
            return StepState.COMPLETED, await self._calls.stand_in(item, rung)
        when = self._step.when
        if when is not None and not await self._truth("when", when, item.variables):
            if self._step.for_each is None:
                self._record.log.decide("route", "skipped", self._name, f"when is false: {when}")
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

    def _next_rung(
        self, failed: Failed, rest: Sequence[AnyRung] | None, *, refused: bool
    ) -> tuple[AnyRung, Sequence[AnyRung]]:
        """Returns what follows a failure, and what may follow that one.

        Args:
            failed: The failure.
            rest: What was left of a ladder that was begun; None where none was. A ladder that was begun for
                a failure goes on after a rejection, and the other way round.
            refused: Whether the guard of the step has refused its input, which no model and no other agent
                gets then; a plain rule may answer.
        """
        if rest is None:
            rejected = failed.failure.type == FailureType.REJECTED
            rest = rungs_of(self._step.on_rejection if rejected else self._step.on_failure)
        if refused:
            rest = [rung for rung in rest if not isinstance(rung, Fallback | OtherModel)]
        rung, rest = (rest[0], rest[1:]) if rest else ("rollback", ())
        if isinstance(rung, RetryFrom) and self._record.reruns.get(self._name, 0) >= rung.rounds:
            return self._next_rung(failed, rungs_of(rung.then), refused=refused)
        if self._record.committed and not isinstance(rung, StandIn | Escalate) and rung != "skip":
            return "escalate", rest  # nothing can be undone any more: a person decides
        return ("rollback" if is_no_way_on(self._record, failed, "") else rung), rest

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

    def _go_down(self, item: StepItem, what: str, failed: Failed) -> None:
        """Records what follows a failure in place of what was meant, and why."""
        self._decide(item, what, failed)
        at = item.path.removeprefix(self._path)
        self._degraded[item.path] = f"{at}{': ' if at else ''}{what}: {failed.failure}"

    def _decide(self, item: StepItem, what: str, failed: Failed) -> None:
        self._record.log.decide("rung", what, self._name, str(failed.failure), call=item.path)


def _told_of(rung: StandIn) -> str:
    match rung:
        case Fallback():
            return f"falls back to {rung.fallback}"
        case OtherModel():
            return f"goes on with the model {', '.join(rung.models)}"
        case PlainRule():
            return f"is answered by the rule {rung.rule}"


def _reads_item(source: str) -> bool:
    return any(path.root in ("item", "index", "done") for path in compile_expression(source).paths)


def _state_of(failed: Failed) -> StepState:
    if isinstance(failed, Stopped):
        return StepState.CANCELLED
    return StepState.REJECTED if failed.failure.type == FailureType.REJECTED else StepState.FAILED
