"""One attempt of a step: it calls an agent, a tool or the steps of a group, and has the output checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...agents.agent_outcome import AgentOutcome
from ...agents.assignment import Assignment
from ...agents.toolbox import MakePivot
from ...calls.call import Call, as_json
from ...calls.timeouts_and_retries import MODEL_RETRY
from ...children.child_call import ChildCall
from ...effect import Effect
from ...errors import ExpressionError, FailureType
from ...failure import Failed, Failure
from ...people.questions import Check, fits
from ...record.board import MAX_OUTPUT
from ...record.bounded import bounded
from ...spec.catalog import AgentEntry, ToolEntry
from ...spec.failure_policy import Fallback, OtherModel, PlainRule
from ...spec.rules.pivot_rules import effects_of
from ...spec.task_spec import Step
from ...spec.timeout import time_for
from ...verdict import Subject
from ...verification.verifier import Claim
from .step_guard import StepGuard
from .step_surroundings import StepItem, Surroundings
from .step_target import StepTarget
from .step_wait import StepWait

StandIn = Fallback | OtherModel | PlainRule
"""What may do a step in place of what it was meant to call."""


class StepAttempt:
    """Makes the attempts of one step.

    Attributes:
        guard: Checks its input.
    """

    def __init__(self, run: Surroundings, step: Step) -> None:
        """Prepares to run one step of a graph."""
        self._run = run
        self._context = run.context
        self._record = run.context.record
        self._step = step
        self._name = run.name_of(step.id)
        self._seen: dict[str, dict[str, Any]] = {}
        self._target = StepTarget(run, step)
        self.guard = StepGuard(run, step)

    async def attempt(self, item: StepItem) -> Any:
        """Does the step once.

        Returns:
            The output; every verdict on it has passed.

        Raises:
            Failed: It failed or was rejected; its undos have not run.
            ExpressionError: An expression of the step failed.
            Stopped: Its scope was stopped.
        """
        if self._step.group is not None:
            return await self._group(item)
        if self._step.workflow is not None:
            return await self._child(item, self._step.workflow)
        if self._step.approve is not None or self._step.wait is not None:
            return await self._wait(item)
        return await self._call_and_verify(item, self._target.route(item))

    async def stand_in(self, item: StepItem, rung: StandIn) -> Any:
        """Lets something else do the step, with the same input; returns and raises as `attempt`."""
        match rung:
            case Fallback():
                return await self._call_and_verify(item, self._target.entry(rung.fallback))
            case OtherModel():
                agent = self._target.of(item)
                if not (isinstance(agent, AgentEntry) and agent.is_model):
                    message = f"{agent.name} is not played by a model"
                    raise Failed(Failure(step=self._name, type=FailureType.UNKNOWN_NAME, message=message))
                return await self._call_and_verify(item, agent.model_copy(update={"models": rung.models}))
            case PlainRule():
                return await self._answer_by_rule(item, self._target.rule(rung.rule))

    def fault_of(self, item: StepItem) -> Check:
        """Returns what says why a value cannot be the output of the step, or None."""
        if self._step.kind not in ("agent", "tool", "team"):
            return fits({})
        try:
            return fits(self._target.of(item).output_schema)
        except (Failed, ExpressionError):
            return fits({})  # whom it would have called is what has failed

    async def check_supplied(self, item: StepItem, output: Any, author: str) -> None:
        """Has an output checked that a person has supplied; raises as `attempt`."""
        try:
            value = (
                None if self._step.group is not None else await self._render(self._step.input, item, "input")
            )
        except ExpressionError:
            value = None  # what the step would have been given is what has failed
        await self._verify(item, self._record.next_round(item.path), output, value, {}, author, None)

    def evidence_of(self, item: StepItem) -> dict[str, Any] | None:
        """Returns what people are shown of an attempt that has failed; None where it came to nothing."""
        seen = {key: bounded(value, MAX_OUTPUT) for key, value in self._seen.get(item.path, {}).items()}
        verdicts = [verdict for verdict in self._record.steps[self._name].verdicts if not verdict.passed]
        if verdicts:
            seen["verdicts"] = [verdict.model_dump(mode="json") for verdict in verdicts]
        return seen or None

    def _before(self, item: StepItem) -> frozenset[str]:
        """Returns what the calls of an item build on; through other items that is what the step does."""
        return item.after or self._run.entries_before(self._step.id)

    # --- groups

    async def _group(self, item: StepItem) -> Any:
        group = self._step.group
        assert group is not None
        round_ = self._record.next_round(item.path)
        inner = await self._run.run_inside(
            group.steps, f"{item.path}/", item.scope, item.variables, self._before(item)
        )
        output = await self._context.load.pace.render(group.output, inner.variables(), "output")
        if group.output is None:
            output = {name: value["output"] for name, value in inner.own_steps().items()}
        await self._verify(item, round_, output, None, {}, "", None)
        return output

    # --- waits

    async def _wait(self, item: StepItem) -> Any:
        step, waiting = self._step, StepWait(self._context, self._name, item.path)
        if step.approve is not None:
            self._record.wait_step(self._name)
            output = await waiting.approval(step.approve, item.variables, item.scope)
        else:
            assert step.wait is not None
            output = await waiting.wait(step.wait, item.variables, item.scope)
        await self._verify(item, self._record.next_round(item.path), output, None, {}, "", None)
        return output

    # --- child workflows

    async def _child(self, item: StepItem, type_: str) -> Any:
        step = self._step
        value = await self._render(step.input, item, "input")
        await self.guard.check(item, value, type_)
        catalog = self._context.catalog
        child = ChildCall(
            step=self._name,
            path=item.path,
            round=self._record.next_round(item.path),
            workflow=type_,
            input=value,
            depends_on=self._before(item),
            effect=Effect.PIVOT if Effect.PIVOT in effects_of(step, catalog) else Effect.COMPENSATABLE,
            timeout=time_for(step.timeout, [type_]),
            task_queue=step.task_queue,
            ends_undone=type_ in catalog.tasks,
            budget=catalog.tasks[type_].budget if type_ in catalog.tasks else None,
        )
        if child.effect is Effect.PIVOT:
            await self._verify(item, child.round, value, value, {}, type_, None)
            await self._run.before_pivot()
            return await self._child_pivot(child, item)
        output = await self._context.children.call(child, item.scope)
        await self._verify(item, child.round, output, value, {}, type_, None)
        return output

    async def _child_pivot(self, child: ChildCall, item: StepItem) -> Any:
        try:
            return await self._context.children.call(child, item.scope)
        except Failed as failed:
            if failed.not_applied:
                raise
            # It may have passed its pivot before it failed or was ended.
            action, output = await self._context.pivots.ask(self._name, child.workflow, failed, {})
            if action == "not_applied":
                raise
        self._record.commit(self._name)
        item.scope.seal()
        return output

    # --- agents and tools

    async def _render(self, template: Any, item: StepItem, path: str) -> Any:
        return await self._context.load.pace.render(template, item.variables, path)

    async def _answer_by_rule(self, item: StepItem, rule: AgentEntry | ToolEntry) -> Any:
        """Lets plain code answer: what the step says of its effect and its undo is not about that."""
        value = await self._render(self._step.input, item, "input")
        round_ = self._record.next_round(item.path)
        call = Call.of(
            rule,
            value,
            step=self._name,
            path=item.path,
            summary=item.path,
            depends_on=self._before(item),
            round=round_,
            timeout=self._step.timeout,
            retry=self._step.retry,
            task_queue=self._step.task_queue,
        )
        output = as_json(await self._context.caller.call(call, item.scope))
        await self._verify(item, round_, output, value, rule.output_schema, rule.name, None)
        return output

    async def _call_and_verify(self, item: StepItem, target: AgentEntry | ToolEntry) -> Any:
        value = await self._render(self._step.input, item, "input")
        self._seen[item.path] = {"input": value}
        await self.guard.check(item, value, target.name)
        round_ = self._record.next_round(item.path)
        if self._effect(target) is Effect.PIVOT:
            if isinstance(target, AgentEntry) and not target.python:
                return await self._agent_pivot(item, target, value, round_)
            return await self._pivot(item, target, value, round_)
        if isinstance(target, AgentEntry) and not target.python:
            outcome = await self._converse(item, target, value, round_)
        else:
            call = self._call(item, target, value, round_)
            outcome = AgentOutcome(output=as_json(await self._context.caller.call(call, item.scope)))
        await self._verify(item, round_, outcome.output, value, target.output_schema, target.name, outcome)
        return outcome.output

    async def _pivot(self, item: StepItem, target: AgentEntry | ToolEntry, value: Any, round_: int) -> Any:
        """Passes the point of no return: whatever could say no is asked before."""
        await self._verify(item, round_, value, value, {}, target.name, None)
        call = self._call(item, target, value, round_)
        approved = await self._context.caller.approve(call, item.scope)
        if approved.input != call.input:
            await self._verify(item, round_, approved.input, approved.input, {}, target.name, None)
        await self._run.before_pivot()
        return await self._context.pivots.call(approved, target, item.scope)

    async def _agent_pivot(self, item: StepItem, agent: AgentEntry, value: Any, round_: int) -> Any:
        """Lets an agent choose whether, and how, the point of no return is passed."""

        async def make(call: Call, tool: ToolEntry) -> tuple[Call, Any]:
            approved = await self._context.caller.approve(call, item.scope)
            await self._run.before_pivot()
            return approved, await self._context.pivots.call(approved, tool, item.scope)

        outcome = await self._converse(item, agent, value, round_, make)
        await self._verify(item, round_, outcome.output, value, agent.output_schema, agent.name, outcome)
        return outcome.output

    async def _converse(
        self,
        item: StepItem,
        agent: AgentEntry,
        value: Any,
        round_: int,
        pivot: MakePivot | None = None,
    ) -> AgentOutcome:
        job = Assignment(
            step=self._name,
            path=item.path,
            round=round_,
            input=value,
            depends_on=self._before(item),
            compensation=self._step.compensate or agent.compensate,
            retry=self._step.retry or MODEL_RETRY,
            task_queue=self._step.task_queue,
            feedback=tuple(told["message"] for told in item.variables["feedback"]),
            reads=None if self._step.team is None else item.variables,
        )
        return await self._context.agents.run(agent, job, item.scope, self._step.timeout, pivot)

    def _effect(self, target: AgentEntry | ToolEntry) -> Effect:
        return self._step.effect or (Effect.COMPENSATABLE if self._step.compensate else target.effect)

    def _call(self, item: StepItem, target: AgentEntry | ToolEntry, value: Any, round_: int) -> Call:
        step = self._step
        return Call.of(
            target,
            value,
            step=self._name,
            path=item.path,
            summary=item.path,
            depends_on=self._before(item),
            round=round_,
            effect=self._effect(target),
            compensation=step.compensate,
            timeout=step.timeout,
            retry=step.retry,
            task_queue=step.task_queue,
        )

    # --- validation

    async def _verify(
        self,
        item: StepItem,
        round_: int,
        output: Any,
        value: Any,
        schema: Mapping[str, Any],
        author: str,
        outcome: AgentOutcome | None,
    ) -> None:
        self._seen[item.path] = {"input": value, "output": output}
        if not self._step.validate_:
            self._context.verifier.accept(self._name)
            return
        claim = Claim(
            step=self._name,
            path=item.path,
            round=round_,
            schema=schema,
            subject=Subject(
                task_id=self._record.task_id,
                goal=self._record.goal,
                task=self._context.input,
                step=self._name,
                author=author,
                input=value,
                output=output,
                steps=self._run.outputs_before(self._step.id),
                evidence=tuple(outcome.evidence) if outcome else (),
            ),
            scope={**item.variables, "output": output, "input": value},
            authors=frozenset(outcome.models) if outcome else frozenset(),
            drawn=outcome.drawn if outcome else (),
        )
        await self._context.verifier.verify(claim, self._step.validate_, item.scope)
