"""A plan in a saga of one's own: operations that an agent has thought of, and what another plan changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from ..engine.run_context import RunContext
from ..errors import DefinitionError, FailureType
from ..failure import Failed, Failure, Stopped
from ..fault_texts import in_words
from ..names import NAME_ATTRIBUTE, nearest
from ..people.step_question import fits
from ..plans.operation import Operation
from ..plans.plan_faults import MOST_ORDERED, MOST_TOLD, key_fault, plan_faults
from ..plans.plan_run import PlanRun
from ..plans.plan_work import ReadPlan
from ..plans.planned_item import PlannedItem, likeness_of
from ..record.plan_book import ItemRecord
from ..record.step_record import StepRecord, StepState
from ..record.task_record import TaskRecord
from ..spec.catalog import AgentEntry, Catalog, ToolEntry
from ..spec.json_schema import join
from ..temporal.stop_scope import StopScope
from .call_target import CallTarget
from .running_calls import RunningCalls
from .saga_calls import GIVEN_UP, SagaCalls
from .tries import tries_of


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """How a plan is run; see `Saga.plan`."""

    targets: Mapping[str, CallTarget]
    step: str
    closure: bool
    max_parallel: int | None

    @classmethod
    def read(
        cls, catalog: Catalog, tools: Sequence[Any], step: str, keep: str, max_parallel: int | None
    ) -> PlanTerms:
        """Reads what `Saga.plan` is called with.

        Args:
            catalog: What the worker offers.
            tools: As of `Saga.plan`, and so are the others.
            step: What the plan is called.
            keep: What a changed plan leaves untouched.
            max_parallel: How many operations run at once, at most.

        Raises:
            DefinitionError: A tool is not offered, or something else is not allowed; all faults are named.
        """
        targets, faults = _targets(tools, catalog)
        if keep not in ("same", "closure"):
            faults.append(f"keep is 'same' or 'closure', not {keep!r}")
        if max_parallel is not None and (type(max_parallel) is not int or max_parallel < 1):
            faults.append(f"max_parallel is a whole number from 1, or None, not {max_parallel!r}")
        if faults:
            raise DefinitionError("\n".join(faults))
        return cls(targets, step, keep == "closure", max_parallel)


class SagaPlan:
    """A plan of a saga, and what was done of it.

    Attributes:
        step: What it is called; its operations are the steps ``STEP[ID]``.
    """

    def __init__(
        self,
        context: RunContext,
        calls: SagaCalls,
        running: RunningCalls,
        current: Callable[[], StopScope],
        terms: PlanTerms,
    ) -> None:
        """Prepares a plan; `Saga.plan` does that."""
        self.step = terms.step
        self._outputs: dict[str, Any] = {}
        self._context = context
        self._record = context.record
        self._calls = calls
        self._running = running
        self._current = current
        self._terms = terms
        self._targets = terms.targets
        self._operations: tuple[Operation, ...] = ()
        self._scope = current()
        # Of the first plan of this name: what came after that builds on it, and not the other way round.
        self._before = calls.before.setdefault(terms.step, calls.done)

    @property
    def outputs(self) -> dict[str, Any]:
        """By id, what the operations have come to, as JSON; not those that were undone since."""
        if self._context.engine < 7:
            return dict(self._outputs)
        standing = self._record.plans.items.get(self.step, {})
        return {id_: output for id_, output in self._outputs.items() if id_ in standing}

    async def amend(self, operations: Sequence[Operation | Mapping[str, Any]]) -> None:
        """Puts another plan in place of this one.

        What would be called with the same input stays untouched. What has changed or vanished is undone in
        reverse order, and before it the later calls of the saga that build on it. What is new is done.
        Of several changes at once each begins when the one before has ended; the last one counts.

        Args:
            operations: Those of the new plan.

        Raises:
            ApplicationError: The plan cannot be run (type ``Rejected``), and nothing has changed; or an
                operation failed and is undone, and those done before it stand.
            DefinitionError: They are not operations.
            asyncio.CancelledError: The workflow was cancelled.
        """
        read = operations_in(operations)
        scope = self._running.scope_in(self._current())
        await self._running.run(self._change(read, scope), self.step, scope)

    async def _change(self, operations: tuple[Operation, ...], scope: StopScope) -> None:
        async with self._calls.turns.of([self.step]):
            scope.check(self.step)
            if self._context.engine >= 6:
                self._calls.take_up(self.step)
            self._operations, self._scope = operations, scope
            await self._run(scope)

    async def _run(self, scope: StopScope) -> None:
        run = PlanRun(
            self._record,
            self._context.rollback,
            self,
            self.step,
            self.step,
            scope,
            closure=self._terms.closure,
            most=self._terms.max_parallel,
            engine=self._context.engine,
        )
        outputs = await run.run("another plan has taken its place")
        assert outputs is not None
        ids = [operation.id for operation in self._operations]
        self._outputs = dict(zip(ids, outputs, strict=True))
        if self._context.engine >= 6:
            # What was done before the workflow turned its back on the plan stands again, too.
            self._calls.done |= self._record.ledger.under(self.step)

    # --- what `PlanWork` asks for

    async def read(self) -> ReadPlan:
        """Checks the operations."""
        if len(self._operations) > MOST_ORDERED:
            return ReadPlan(
                (), [f"a plan has {MOST_ORDERED} operations at most, not {len(self._operations)}"]
            )
        items: list[PlannedItem] = []
        faults: list[str] = []
        for index, operation in enumerate(self._operations):
            wrong = list(self._faults(operation))
            faults += wrong
            item = PlannedItem(operation.id, index, operation, operation.after, target=operation.tool)
            target = self._targets.get(operation.tool)
            if target is not None and target.entry is not None:
                seen = likeness_of([operation.tool, operation.input], self._context.engine)
                item = replace(item, likeness=seen, effect=target.entry.effect)
            items.append(item)  # also where its call has faults: others may come after it
        faults += plan_faults(items)
        return ReadPlan(items, faults[:MOST_TOLD])

    async def refused(self, faults: Sequence[str]) -> None:
        """Fails: whoever has asked for the plan decides."""
        message = f"the plan cannot be run: {'; '.join(faults)}"
        failure = Failure(step=self.step, type=FailureType.REJECTED, message=message)
        raise Failed(failure, not_applied=True)

    async def do(
        self, item: PlannedItem, results: dict[str, Any], after: frozenset[str], scope: StopScope
    ) -> tuple[StepState, Any]:
        """Calls what an operation calls, as any call of the saga."""
        target, name = self._targets[item.target], f"{self.step}[{item.key}]"
        assert target.entry is not None
        self._calls.guard(name, target.entry.effect)
        self._record.add_step(name, StepRecord(target.kind, target.name))
        tries = tries_of(None, None)
        output = await self._calls.registered(
            target, name, item.value.input, (), scope, tries, depends_on=after
        )
        if self._context.engine >= 6 and self._calls.is_given_up(name):
            raise Stopped(name, GIVEN_UP)  # it has ended, and is undone by now
        return StepState.COMPLETED, output

    def entries_before(self) -> frozenset[str]:
        """Returns what the saga has done before the plan."""
        return self._before

    async def make_way(self, entries: frozenset[str], reason: str) -> None:
        """Undoes the later calls of the saga that build on entries."""
        self._calls.done -= self._later(entries) | entries  # what begins from now on does not build on them
        others = [name for name in self._calls.plans_on(entries) if name != self.step]
        async with self._calls.turns.of(others):
            if self._context.engine >= 6:
                await self._calls.outlast(lambda: self._later(entries), self.step, self._scope)
            later = self._later(entries)
            self._calls.done -= later
            if later and not await self._context.rollback.run(reason, within=later):
                message = f"an undo of what builds on {self.step!r} is stuck"
                raise Failed(Failure(step=self.step, type=FailureType.ABANDONED, message=message))
            if self._context.engine >= 6:
                self._record.plans.forget_items({self._record.ledger[each].step for each in later})

    def _later(self, entries: frozenset[str]) -> set[str]:
        return self._record.ledger.dependents(entries) - self._record.ledger.under(self.step)

    async def is_frozen(self, begun: ItemRecord) -> bool:
        """Says no: the workflow decides itself what it undoes."""
        return False

    def is_paused(self) -> bool:
        """Says no: the workflow decides itself when it continues as new."""
        return False

    def _faults(self, operation: Operation) -> Iterator[str]:
        wrong = key_fault(operation.id)
        if wrong is not None:
            yield wrong
        target = self._targets.get(operation.tool)
        if target is None or target.entry is None:
            known = nearest(operation.tool, self._targets)
            yield f"{operation.id}: the plan has no tool {operation.tool!r}{known}"
            return
        wrong = fits(target.entry.input_schema)(operation.input)
        if wrong is not None:
            yield f"{operation.id}: {operation.tool} cannot take {wrong}"


def step_of(record: TaskRecord, name: str) -> str:
    """Returns the step that is meant: the one of this name, or the only operation of a plan that has it."""
    planned = [step for step in record.steps if step.endswith(f"[{name}]")]
    return planned[0] if name not in record.steps and len(planned) == 1 else name


def operations_in(made: Any) -> tuple[Operation, ...]:
    """Reads a plan: a list of operations, or an object that has one as ``operations``.

    Raises:
        DefinitionError: It is neither; all faults are told.
    """
    found = getattr(made, "operations", made)
    if isinstance(found, Mapping):
        found = found.get("operations")
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise DefinitionError(f"a plan is a list of operations, or has one as operations; this is {made!r}")
    read: list[Operation] = []
    faults: list[str] = []
    for index, item in enumerate(found):
        try:
            read.append(Operation.model_validate(item, from_attributes=True))
        except ValidationError as error:
            at = f"operations[{index}]"
            faults += [f"{join(at, fault['loc'])}: {in_words(fault)}" for fault in error.errors()]
    if faults:
        raise DefinitionError("\n".join(faults))
    return tuple(read)


def _targets(tools: Sequence[Any], catalog: Catalog) -> tuple[dict[str, CallTarget], list[str]]:
    """Returns what an operation may call, by name, and what the worker does not offer of it."""
    found, faults = dict[str, CallTarget](), list[str]()
    for tool in tools:
        name = tool if isinstance(tool, str) else getattr(tool, NAME_ATTRIBUTE, str(tool))
        entry: ToolEntry | AgentEntry | None = catalog.tools.get(name) or catalog.agents.get(name)
        if entry is None:
            known = [*catalog.tools, *catalog.agents]
            faults.append(f"this worker does not offer {name!r}{nearest(name, known)}")
        else:
            found[name] = CallTarget(name, entry, name)
    return found, faults
