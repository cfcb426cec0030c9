"""Runs the items of a plan, and takes a new plan in the middle of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow

from ..calls.rollback import Rollback
from ..effect import Effect
from ..errors import ExpressionError, FailureType
from ..failure import Failed, Failure, RetryFromStep, Stopped
from ..history_format import ENGINE
from ..record.plan_book import ItemRecord
from ..record.step_record import DONE, StepState
from ..record.task_record import TaskRecord
from ..temporal.stop_scope import StopScope
from .plan_change import PlanChange, plan_change
from .plan_faults import ancestors_of
from .plan_work import PlanWork
from .planned_item import PlannedItem


@dataclass(slots=True)
class _Under:
    """An item that runs."""

    item: PlannedItem
    task: asyncio.Task[tuple[StepState, Any]]
    scope: StopScope


@dataclass(slots=True)
class PlanRun:
    """Runs one plan, and what it becomes.

    What was begun of it is in the record, so that whoever comes to the same place later, after another plan
    was made or in a continued run, keeps what that plan keeps.

    Attributes:
        record: The task's record.
        rollback: Undoes items.
        work: What the plan is run for.
        step: The step of the task that the plan belongs to.
        path: Its path; an item has ``PATH[KEY]``.
        scope: What all is stopped with.
        closure: Whether what comes after something that is done again is done again, too.
        most: How many items run at once, at most; None for as many as their order allows.
        engine: By which rules the task is run, see `ENGINE`.
    """

    record: TaskRecord
    rollback: Rollback
    work: PlanWork
    step: str
    path: str
    scope: StopScope
    closure: bool = False
    most: int | None = None
    engine: int = ENGINE
    _held: bool = False
    _revising: str | None = None
    _error: BaseException | None = None
    _under: dict[str, _Under] = field(default_factory=dict)
    _inner: StopScope = field(init=False)

    def __post_init__(self) -> None:
        """Opens a scope for the items."""
        self._inner = StopScope(self.scope)

    @property
    def begun(self) -> dict[str, ItemRecord]:
        """What was begun of the plan and stands, by key."""
        return self.record.plans.begun_at(self.path)

    @property
    def is_held(self) -> bool:
        """Whether it begins nothing for now, and is not in the middle of its pivot."""
        return self._held and not self._pivot_runs

    @property
    def _pivot_runs(self) -> bool:
        return any(under.item.effect is Effect.PIVOT for under in self._under.values())

    def hold(self) -> None:
        """Begins no more items: there may be another plan soon. What runs comes to its end."""
        self._held = True

    def release(self) -> None:
        """Goes on with the same plan."""
        self._held = False

    def revise(self, reason: str) -> None:
        """Has the plan read again; what that changes is undone because of `reason`."""
        self._held, self._revising = False, reason

    async def run(self, reason: str) -> list[Any] | None:
        """Runs the plan to its end.

        Args:
            reason: Why what another plan had begun, and this one has not, is undone.

        Returns:
            The outputs in the order of the plan, None where an item was skipped; None instead of a list where
            it has paused, and nothing of it runs.

        Raises:
            Failed: An item failed, or the plan was refused; nothing of it runs any more.
            Stopped: The scope was stopped.
        """
        while True:
            plan = await self.work.read()
            faults = plan.faults or await self._change_to(plan.items, reason)
            if faults:
                await self._settle()
                await self.work.refused(faults)
                continue
            await self._work_through(plan.items)
            if self._revising is None:
                break
            reason, self._revising = self._revising, None
        if any(item.key not in self.begun for item in plan.items):
            return None
        return [self.begun[item.key].output for item in plan.items]

    def path_of(self, key: str) -> str:
        """Returns the path of an item."""
        return f"{self.path}[{key}]"

    # --- another plan

    async def _change_to(self, items: Sequence[PlannedItem], reason: str) -> list[str]:
        """Undoes what a plan changes; returns why that may not be, and then nothing was undone."""
        change = plan_change(self.begun, items, closure=self.closure)
        refused = [fault for key in change.undone if (fault := await self._why_it_stays(key))]
        if refused:
            return refused
        for key in change.undone:
            if key in self._under:
                self._under[key].scope.stop(reason)
        await workflow.wait_condition(
            lambda: all(under.task.done() for key, under in self._under.items() if key in change.undone)
        )
        for key in change.undone:
            under = self._under.pop(key, None)
            if under is not None:
                under.task.exception()  # whatever it was: it is undone
        if change.undone or (reason and self.begun):
            self.record.log.decide("plan", str(change), self.step, reason)
        entries = self._given_up(change)
        if self.record.ledger.is_open(within=entries):
            await self.work.make_way(entries, reason)
        self._reorder(items, change)
        self._take_over(items, change)
        await self._undo(entries, reason)
        for key in change.undone:
            self.begun.pop(key, None)
        return []

    async def _why_it_stays(self, key: str) -> str | None:
        if not self.record.protected.isdisjoint(self._entries(key)):
            return f"{key!r} was done before the point of no return, and cannot be undone"
        try:
            is_frozen = await self.work.is_frozen(self.begun[key])
        except ExpressionError as error:
            if self.engine < 6:
                raise
            return f"{key!r} would be undone, and nobody can tell whether it is frozen: {error}"
        return f"{key!r} is frozen, and would be undone; keep it as it is" if is_frozen else None

    def _given_up(self, change: PlanChange) -> frozenset[str]:
        """Returns the ledger entries of the plan that are not of what is kept, what has failed included."""
        kept = frozenset[str]().union(*map(self._entries, change.kept))
        return self.record.ledger.under(self.path) - kept - self.record.protected

    async def _undo(self, entries: frozenset[str], reason: str) -> None:
        if not self.record.ledger.is_open(within=entries):
            return
        if not await self.rollback.run(reason, within=entries, scope=self.scope):
            failure = Failure(
                step=self.step, type=FailureType.ABANDONED, message=f"an undo is stuck: {reason}"
            )
            raise Failed(failure)
        step = self.record.steps.get(self.step)
        if step is not None:
            step.go_on()

    def _take_over(self, items: Sequence[PlannedItem], change: PlanChange) -> None:
        """Has what is kept stand as the new plan says it; what it calls is the same, the rest may differ."""
        kept = frozenset(change.kept) if self.engine >= 6 else frozenset[str]()
        for item in items:
            if item.key in kept:
                self.begun[item.key].value, self.begun[item.key].index = item.value, item.index

    def _reorder(self, items: Sequence[PlannedItem], change: PlanChange) -> None:
        """Has what is kept build on what it comes after in the new plan."""
        kept = {item.key: item for item in items if item.key in change.kept}
        if not change.undone and all(self.begun[key].after == item.after for key, item in kept.items()):
            return
        all_ = self.record.ledger.under(self.path)
        gone = all_.difference(*map(self._entries, kept))
        before = self.work.entries_before()
        new: dict[str, frozenset[str]] = {}
        for key, item in kept.items():
            own = self._entries(key)
            after = before.union(*(self._entries(name) for name in item.after if name in kept))
            for entry_id in own:
                needs = frozenset(self.record.ledger[entry_id].depends_on)
                new[entry_id] = (needs - (all_ - own)) | after
            self.begun[key].after = item.after
        self.record.rewire(new, gone=gone)

    # --- the items

    async def _work_through(self, items: Sequence[PlannedItem]) -> None:
        """Runs items until all have ended, or none may be begun any more and none runs."""
        ancestors = ancestors_of(items)
        while True:
            self._begin_ready(items, ancestors)
            if self._revising is not None and self._error is None:
                return
            if not self._under and (self._error is not None or not self._waits_for_news()):
                break
            await workflow.wait_condition(self._has_news)
            self._collect(items)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        self.scope.check(self.step)

    def _has_news(self) -> bool:
        ended = any(under.task.done() for under in self._under.values())
        revised = self._revising is not None and self._error is None
        return ended or revised or (not self._under and not self._waits_for_news())

    def _waits_for_news(self) -> bool:
        """Says whether there may be another plan yet; a run of the workflow that is to end waits for none."""
        return self._held and not self.scope.stopped and not self.work.is_paused()

    def _begin_ready(self, items: Sequence[PlannedItem], ancestors: dict[str, frozenset[str]]) -> None:
        halted = self._held or self._revising is not None or self._error is not None or self._inner.stopped
        if halted or self._pivot_runs or self.work.is_paused():
            return
        for item in items:
            if self.most is not None and len(self._under) >= self.most:
                return
            if item.key in self.begun or not self._has_ended(item.after):
                continue
            if item.effect is Effect.PIVOT:
                others = [i.key for i in items if i is not item and item.key not in ancestors[i.key]]
                if not self._has_ended(others):
                    continue
            self._begin(item)

    def _has_ended(self, keys: Collection[str]) -> bool:
        return all(key in self.begun and self.begun[key].state in DONE for key in keys)

    def _begin(self, item: PlannedItem) -> None:
        scope = StopScope(self._inner)
        results = {key: self.begun[key].output for key in item.after}
        after = self.work.entries_before().union(*map(self._entries, item.after))
        index = item.index if self.engine >= 6 else 0
        self.begun[item.key] = ItemRecord(item.likeness, item.after, item.value, index=index)
        task = asyncio.create_task(self.work.do(item, results, after, scope))
        self._under[item.key] = _Under(item, task, scope)

    def _collect(self, items: Sequence[PlannedItem]) -> None:
        for key, under in [pair for pair in self._under.items() if pair[1].task.done()]:
            del self._under[key]
            error = under.task.exception()
            if error is None:
                self.begun[key].state, self.begun[key].output = under.task.result()
                self._lead_on(key, items)
                continue
            del self.begun[key]
            if self._error is None or isinstance(self._error, Stopped):
                self._error = error
            if not isinstance(error, RetryFromStep):
                self._inner.stop(f"item {key} of {self.step} failed: {error}")

    def _lead_on(self, key: str, items: Sequence[PlannedItem]) -> None:
        """Has what was kept build on an item that it comes after and that was done again."""
        entries = self._entries(key)
        new: dict[str, frozenset[str]] = {}
        for item in items:
            if key in item.after and item.key in self.begun:
                for entry_id in self._entries(item.key):
                    new[entry_id] = frozenset(self.record.ledger[entry_id].depends_on) | entries
        if new and entries:
            self.record.rewire(new)

    async def _settle(self) -> None:
        """Waits until nothing runs any more; what ends well is kept."""
        while self._under:
            await workflow.wait_condition(lambda: any(under.task.done() for under in self._under.values()))
            self._collect(())
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _entries(self, key: str) -> frozenset[str]:
        return self.record.ledger.under(self.path_of(key))
