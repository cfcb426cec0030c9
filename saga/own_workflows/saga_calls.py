"""The calls of a saga in a workflow of one's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from ..agents.agent_outcome import AgentOutcome
from ..agents.assignment import Assignment
from ..calls.call import Call, as_json
from ..calls.timeouts_and_retries import DEFAULT_TIMEOUT, MODEL_RETRY
from ..effect import Effect
from ..engine.run_context import RunContext
from ..errors import DefinitionError, FailureType
from ..failure import Failed, Stopped
from ..ledger.ledger import Entry, EntryState
from ..record.step_record import StepRecord, StepState
from ..spec.catalog import AgentEntry
from ..spec.validation import Validation
from ..temporal.stop_scope import StopScope
from ..verdict import Subject
from ..verification.verifier import Claim
from .call_target import CallTarget
from .call_times import CallTimes
from .plan_turns import PlanTurns
from .tries import Tries

GIVEN_UP = "the workflow went on without it"
"""Why a call is undone, or not begun, that the workflow has turned its back on."""

_EFFORT = 300
"""Microseconds that a call takes before it asks for a place among those that are under way."""


class SagaCalls:
    """Makes, checks and records the calls of one saga.

    Attributes:
        done: The ledger entries that the next call builds on.
        before: By the name of a plan, those that were there before it.
        turns: Who changes plans, or undoes what they build on, does so one after the other.
    """

    def __init__(self, context: RunContext) -> None:
        """Prepares the calls of one saga; `context` is what it is run with."""
        self._context = context
        self._record = context.record
        self.done: frozenset[str] = frozenset()
        self.before: dict[str, frozenset[str]] = {}
        self.turns = PlanTurns(context.engine)
        self._times = CallTimes(context)
        self._given_up: set[str] = set()
        self._under_way: set[str] = set()
        self._pivot: str | None = None

    async def begin(self, tries: Tries, action: CallTarget, name: str) -> Tries:
        """Waits for the turn of a call, and returns what it says of its attempts; see `CallTimes.settle`."""
        if self._context.engine >= 9:
            await self._context.load.pace.turn(_EFFORT)
        return await self._times.settle(tries, action, name)

    def add(self, name: str, action: CallTarget) -> None:
        """Puts a call on the board."""
        self._record.add_step(name, StepRecord(action.kind, action.name))

    def guard(self, name: str, effect: Effect) -> None:
        """Refuses a call around the point of no return.

        Raises:
            DefinitionError: It is a second pivot, or could not be undone any more with what came before.
        """
        if effect is Effect.PIVOT:
            if self._pivot is not None:
                raise DefinitionError(
                    f"{self._pivot!r} is the pivot already; a saga has one, and not {name!r}"
                )
            self._pivot = name
        elif effect is Effect.COMPENSATABLE and self._pivot is not None:
            raise DefinitionError(f"{name!r} can be undone, and the pivot {self._pivot!r} comes before it")

    async def registered(
        self,
        action: CallTarget,
        name: str,
        value: Any,
        checks: Sequence[Validation],
        scope: StopScope,
        tries: Tries,
        *,
        depends_on: frozenset[str] | None = None,
    ) -> Any:
        """Calls a tool or agent of a bundle.

        Args:
            action: With an entry of the catalog.
            name: The step's id.
            value: The input as JSON.
            checks: Checks of the result.
            scope: What it is stopped with.
            tries: What the call says of its attempts.
            depends_on: What it builds on; None for all that has ended.

        Returns:
            The result, as the type that the action declares.

        Raises:
            Failed: The call failed or was rejected; it has been undone.
            Stopped: The scope was stopped.
        """
        entry = action.entry
        assert entry is not None

        async def make() -> AgentOutcome:
            round_ = await self.round(name, scope)
            before = self.done if depends_on is None else depends_on
            if isinstance(entry, AgentEntry) and not entry.python:
                retry = tries.retry or MODEL_RETRY
                job = Assignment(name, name, round_, value, before, entry.compensate, retry)
                return await self._context.agents.run(entry, job, scope, tries.timeout)
            call = Call.of(
                entry,
                value,
                step=name,
                path=name,
                summary=name,
                depends_on=before,
                round=round_,
                timeout=tries.timeout,
                retry=tries.retry,
            )
            if entry.effect is Effect.PIVOT:
                return AgentOutcome(output=await self._context.pivots.call(call, entry, scope))
            return AgentOutcome(output=as_json(await self._context.caller.call(call, scope)))

        outcome = await self.checked(name, action, value, entry.output_schema, checks, scope, make)
        return action.typed(outcome.output)

    async def plain(
        self,
        action: CallTarget,
        name: str,
        args: tuple[Any, ...],
        options: Mapping[str, Any],
        undo: str | None,
        effect: Effect | None,
        checks: Sequence[Validation],
        scope: StopScope,
    ) -> Any:
        """Calls an activity of the user's own.

        Args:
            action: Without an entry of the catalog.
            name: The step's id.
            args: The positional arguments.
            options: Of ``workflow.start_activity``.
            undo: The activity type that undoes it.
            effect: What it does to the world, where there is no undo.
            checks: Checks of the result.
            scope: What it is stopped with.

        Returns:
            The result, as the type that the activity declares.

        Raises:
            DefinitionError: Neither undo nor effect is said.
            Failed: The call failed or was rejected; it has been undone.
            Stopped: The scope was stopped.
        """
        if undo is None and effect in (None, Effect.COMPENSATABLE):
            raise DefinitionError(f"{action.name}: say undo=..., or effect=Effect.READ_ONLY or another one")
        call = Call(
            step=name,
            path=name,
            activity=action.name,
            args=args,
            effect=effect or Effect.COMPENSATABLE,
            input=action.named(args, engine=1 if undo is None else self._context.engine),
            compensation=undo,
            depends_on=self.done,
            timeout=options.get("start_to_close_timeout", DEFAULT_TIMEOUT),
            task_queue=options.get("task_queue"),
            summary=name,
            options={key: value for key, value in options.items() if key != "activity_id"},
        )
        raw: RawValue | None = None

        async def make() -> AgentOutcome:
            nonlocal raw
            made = replace(call, round=await self.round(name, scope))
            if call.effect is Effect.PIVOT:
                return AgentOutcome(output=await self._context.pivots.call(made, None, scope))
            raw = await self._context.caller.call(made, scope)
            return AgentOutcome(output=as_json(raw))

        outcome = await self.checked(name, action, call.input, {}, checks, scope, make)
        if raw is None:
            raw = RawValue(workflow.payload_converter().to_payload(outcome.output))
        return action.result(raw)

    async def round(self, name: str, scope: StopScope) -> int:
        """Returns 1, or more where a reset has lost the finished undo: the call has another key then."""
        if self._context.engine < 2:
            return 1
        await self._context.reset_gate.pass_gate(name, scope)
        return self._record.next_round(name)

    def give_up(self, name: str) -> None:
        """Says that the workflow has turned its back on a call: nothing builds on what comes of it."""
        self._given_up.add(name)
        self.done -= self.entries(name)
        if self._context.engine >= 6 and name in self.before:
            self.done -= self._record.ledger.under(name)

    def take_up(self, plan: str) -> None:
        """Says that the workflow wants a plan again that it has turned its back on."""
        self._given_up.discard(plan)

    def is_given_up(self, name: str) -> bool:
        """Says whether that was a call, or an operation of a plan, that the workflow goes on without."""
        return name in self._given_up or name.partition("[")[0] in self._given_up

    def left_behind(self) -> frozenset[str]:
        """Returns the ledger entries of calls that were given up or have not ended well."""

        def is_left(entry: Entry) -> bool:
            return (
                self.is_given_up(entry.step)
                or self._record.steps[entry.step].state is not StepState.COMPLETED
            )

        return self._record.ledger.of(is_left) - self._record.protected

    def plans_on(self, entries: Set[str]) -> list[str]:
        """Returns the plans that have made some of these entries or build on them, in the order of making."""
        under = self._record.ledger.under
        return [name for name, b in self.before.items() if not entries.isdisjoint(b | under(name))]

    async def outlast(self, entries: Callable[[], Set[str]], step: str, scope: StopScope) -> None:
        """Waits until no call whose entry is one of these is under way, also of those that come meanwhile.

        Raises:
            Stopped: The scope was stopped.
        """

        def runs() -> bool:
            return any(self._record.ledger[each].state is EntryState.ARMED for each in entries())

        await workflow.wait_condition(lambda: scope.stopped or not runs())
        scope.check(step)

    def entries(self, name: str) -> frozenset[str]:
        """Returns the ledger entries of one call."""
        return self._record.ledger.of_step(name)

    async def checked(
        self,
        name: str,
        action: CallTarget,
        value: Any,
        schema: Mapping[str, Any],
        checks: Sequence[Validation],
        scope: StopScope,
        make: Callable[[], Awaitable[AgentOutcome]],
    ) -> AgentOutcome:
        """Makes a call by `make`, and checks its result; what has failed is undone.

        Raises:
            Failed: The call failed or was rejected; it has been undone.
            Stopped: The scope was stopped.
        """
        self._record.start_step(name)
        self._under_way.add(name)
        try:
            if name == self._pivot:
                await self._before_pivot(name, action, value, checks, scope)
                outcome = await make()
            else:
                outcome = await make()
                claim = self._claim(name, action, value, schema, outcome)
                await self._context.verifier.verify(claim, checks, scope)
        except Stopped as stopped:
            self._record.end_step(name, StepState.CANCELLED, error=stopped.failure.message)
            await self._undo_given_up(name, scope)
            raise
        except Failed as failed:
            rejected = failed.failure.type == FailureType.REJECTED
            state = StepState.REJECTED if rejected else StepState.FAILED
            self._record.log.note_refusal(failed.failure, name)
            self._record.end_step(name, state, error=failed.failure.message)
            await self._undo_given_up(name, scope)
            if not scope.stopped:
                # At once: the workflow may catch the failure and go another way.
                reason = str(failed.failure)
                await self._context.rollback.run(reason, within=self.entries(name), scope=scope)
            if name == self._pivot:
                self._pivot = None
            raise
        finally:
            self._under_way.discard(name)
        if not self.is_given_up(name):
            self.done |= self.entries(name)
        self._record.end_step(name, StepState.COMPLETED, outcome.output)
        await self._undo_given_up(name, scope)
        return outcome

    async def _undo_given_up(self, name: str, scope: StopScope) -> None:
        """Undoes a call as soon as it has ended, where the workflow has gone on without it."""
        if not self.is_given_up(name) or self._context.engine < 2:
            return
        if not scope.root.stopped and not self._record.committed:
            await self._context.rollback.run(GIVEN_UP, within=self.entries(name), scope=scope)

    async def _before_pivot(
        self, name: str, action: CallTarget, value: Any, checks: Sequence[Validation], scope: StopScope
    ) -> None:
        """Lets everything else settle, and has the pivot's own checks look at its arguments."""
        await workflow.wait_condition(
            lambda: self._under_way == {name} or scope.stopped or name in self._given_up
        )
        scope.check(name)
        if name in self._given_up:
            self._pivot = None
            raise Stopped(name, GIVEN_UP)
        claim = self._claim(name, action, value, {}, AgentOutcome(output=value))
        await self._context.verifier.verify(claim, checks, scope)

    def _claim(
        self, name: str, action: CallTarget, value: Any, schema: Mapping[str, Any], outcome: AgentOutcome
    ) -> Claim:
        subject = Subject(
            task_id=self._record.task_id,
            goal=self._record.goal,
            step=name,
            author=action.name,
            input=value,
            output=outcome.output,
            evidence=tuple(outcome.evidence),
        )
        variables = {"task": {}, "facts": {}, "steps": {}, "output": outcome.output, "input": value}
        return Claim(name, name, 1, schema, subject, variables, frozenset(outcome.models))
