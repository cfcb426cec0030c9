"""Steps of which it is in doubt whether they have to be done again, and what is decided about them.

When something changes that a step has read, nothing is undone at first. A step that has changed nothing in
the world is done again beside what it did before, which is withdrawn when it has come to an end. Whoever
reads its output is asked only where that differs (early cut-off), and a plan only about the items that
differ. A step that has changed the world is undone first, with all that builds on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..calls.rollback import Rollback
from ..failure import Failed, Failure
from ..history_format import RETRACT
from ..record.plan_book import Doubt, EarlierRun
from ..record.step_record import DONE, StepState
from ..record.task_record import TaskRecord
from ..spec.arguments import is_same
from ..spec.graph import Graph
from ..temporal.stop_scope import StopScope
from .redo import Redo
from .running_steps import RunningSteps


class DoubtfulGraph(Protocol):
    """The steps of one graph, as they run.

    Attributes:
        graph: The steps and their order.
        prefix: Path of the group, with a slash at the end; empty for the task itself.
        running: The steps that run.
        scope: What is stopped when one of the steps fails.
    """

    graph: Graph
    running: RunningSteps
    prefix: str
    scope: StopScope

    def name_of(self, step_id: str) -> str:
        """Returns what the board calls a step."""

    def past(self) -> frozenset[str]:
        """Returns the steps that cannot be done again."""


class Doubts:
    """Decides, step by step, what has to be done again."""

    def __init__(self, run: DoubtfulGraph, record: TaskRecord, rollback: Rollback, engine: int) -> None:
        """Goes on with what the record has of doubts about this graph."""
        self._run = run
        self._record = record
        self._rollback = rollback
        self._engine = engine

    @property
    def _doubt(self) -> Doubt | None:
        return self._record.plans.doubts.get(self._run.prefix)

    @property
    def exist(self) -> bool:
        """Whether anything is undecided, or done again to find out."""
        return self._doubt is not None

    def exist_beside(self, step_id: str) -> bool:
        """Says whether anything is undecided but about a step and those that wait for it."""
        behind = self._run.graph.dependents([step_id])
        return self._doubt is not None and not behind.issuperset({*self._doubt.steps, *self._doubt.earlier})

    def about(self, step_id: str) -> bool:
        """Says whether a step may not begin before it is decided what becomes of it."""
        return self._doubt is not None and step_id in self._doubt.steps

    @property
    def reason(self) -> str:
        """Why anything is done again; empty where nothing is."""
        return "" if self._doubt is None else str(self._doubt.failure)

    def has_failed(self, step_id: str) -> None:
        """Notes that a step in doubt has failed: whatever is decided, it has to be done again."""
        if self._doubt is not None:
            self._doubt.again.add(step_id)

    def add(self, redo: Redo) -> None:
        """Has steps done again, and those that wait for them doubted."""
        steps = self._in_time(redo.steps, redo.failure)
        first = redo.first & steps
        known = self._doubt or Doubt(failure=redo.failure)
        self._record.plans.doubts[self._run.prefix] = Doubt(
            failure=redo.failure,
            steps=known.steps | steps,
            again=known.again | first,
            feedback=[*known.feedback, *redo.feedback],
            earlier=known.earlier,
        )
        for step_id in sorted(steps):
            self._run.running.hold(step_id)

    def is_compared(self, step_id: str) -> bool:
        """Says whether a step is done again to find out whether it comes to something else."""
        return self._doubt is not None and step_id in self._doubt.earlier

    @property
    def have_news(self) -> bool:
        """Whether there is something to be decided."""
        doubt = self._doubt
        return doubt is not None and any(self._is_known(step_id, doubt) for step_id in doubt.steps)

    def next(self) -> str | None:
        """Returns a step that is to be done again now, and lets those go on that need not be."""
        doubt = self._doubt
        if doubt is None:
            return None
        while known := [name for name in self._run.graph.steps if self._is_next(name, doubt)]:
            again = next((name for name in known if name in doubt.again - self._run.past()), None)
            if again is not None:
                return again
            doubt.steps.difference_update(known)
            for step_id in known:
                self._run.running.release(step_id)
        if not doubt.steps and not doubt.earlier:
            del self._record.plans.doubts[self._run.prefix]
        return None

    async def redo(self, step_id: str) -> None:
        """Has one step done again.

        Raises:
            Failed: An undo that has to be made first is stuck.
        """
        doubt = self._doubt
        assert doubt is not None
        reason = str(doubt.failure)
        step = self._run.graph.steps[step_id]
        if self._run.running.revise(step_id, reason):
            self._decided([step_id])
            return
        await self._run.running.end([step_id], f"it runs again: {doubt.failure.message}")
        doubt = self._doubt  # more may have become doubtful meanwhile
        assert doubt is not None
        if not self._in_time([step_id], doubt.failure):
            self._decided([step_id])
            return
        if step.key is None and not self._is_harmless(step_id):
            await self._undo([step_id], doubt)
            return
        progress = self._record.steps[self._run.name_of(step_id)]
        if step.key is None and progress.state in DONE:
            entries = tuple(sorted(self._open(step_id)))
            doubt.earlier.setdefault(step_id, EarlierRun(progress.output, entries))
        elif step.key is None:
            await self._take_back([step_id], doubt)
        else:
            doubt.earlier.setdefault(step_id, EarlierRun(progress.output))
        self._begin_again([step_id])

    async def settle(self, step_id: str) -> None:
        """Compares what a step has come to with what it came to before; what differs is read anew.

        Raises:
            Failed: An undo is stuck.
        """
        doubt = self._doubt
        earlier = doubt.earlier.pop(step_id, None) if doubt is not None else None
        if doubt is None or earlier is None:
            return
        old = frozenset(earlier.entries)
        if old:
            self._replace(old, frozenset(self._open(step_id)) - old)
        now = self._record.steps[self._run.name_of(step_id)].output
        if not is_same(now, earlier.output, self._engine):
            needs = self._run.graph.needs
            doubt.again |= {name for name in doubt.steps if step_id in needs[name]}
        if old and not await self._rollback.run(str(doubt.failure), within=old, scope=self._run.scope):
            raise Failed(doubt.failure)

    async def make_way(self, step_id: str, entries: frozenset[str]) -> None:
        """Has the steps behind one undone, and done again, that build on entries of it."""
        behind = self._run.graph.dependents([step_id]) - {step_id}
        built = self._record.ledger.dependents(entries) - entries
        chosen = [
            name
            for name in self._run.graph.steps
            if name in behind and not built.isdisjoint(self._open(name))
        ]
        doubt = self._doubt
        if chosen and doubt is not None:
            await self._undo(chosen, doubt)

    # --- deciding

    def _is_next(self, step_id: str, doubt: Doubt) -> bool:
        return step_id in doubt.steps and self._is_known(step_id, doubt)

    def _is_known(self, step_id: str, doubt: Doubt) -> bool:
        """Says whether all that a step waits for has been decided, and has ended."""
        for need in self._run.graph.needs[step_id]:
            ended = self._record.steps[self._run.name_of(need)].state in DONE
            if need in doubt.steps or need in doubt.earlier or not ended or need in self._run.running.ids:
                return False
        return True

    def _is_harmless(self, step_id: str) -> bool:
        """Says whether nothing of a step would be undone in the world but that it was said."""
        ledger = self._record.ledger
        return all(ledger[entry_id].compensation == RETRACT for entry_id in self._open(step_id))

    def _open(self, step_id: str) -> list[str]:
        within = self._record.ledger.under(f"{self._run.prefix}{step_id}")
        return self._record.ledger.open(within=within - self._record.protected)

    def _replace(self, old: frozenset[str], new: frozenset[str]) -> None:
        ledger = self._record.ledger
        self._record.plans.replace(old, new)
        built = ledger.dependents(old) - old - new
        self._record.rewire(
            {name: (frozenset(ledger[name].depends_on) - old) | new for name in built}, gone=old
        )

    # --- undoing

    async def _undo(self, step_ids: Iterable[str], doubt: Doubt) -> None:
        """Undoes steps with all that wait for them, whatever that would have come to."""
        steps = self._run.graph.dependents(step_ids) - self._run.past()
        for name in steps:
            doubt.earlier.pop(name, None)
        await self._run.running.end(steps, f"it runs again: {doubt.failure.message}")
        in_time = self._in_time(steps, doubt.failure)
        await self._take_back(in_time, doubt)
        self._begin_again(in_time)
        self._decided(steps)

    def _in_time(self, step_ids: Iterable[str], failure: Failure) -> frozenset[str]:
        """Returns those of the steps that can still be done again: one that has ended may be the pivot."""
        chosen, past = frozenset(step_ids), self._run.past()
        if chosen & past:
            log = self._record.log
            log.add("counterstep", "too late, past the point of no return", "", failure.message)
        return chosen - past

    async def _take_back(self, steps: Iterable[str], doubt: Doubt) -> None:
        paths = [f"{self._run.prefix}{step_id}" for step_id in steps]
        entries = frozenset[str]().union(*map(self._record.ledger.under, paths)) - self._record.protected
        if not await self._rollback.run(str(doubt.failure), within=entries, scope=self._run.scope):
            raise Failed(doubt.failure)
        for path in paths:
            self._record.plans.forget(path)

    def _begin_again(self, step_ids: Iterable[str]) -> None:
        doubt = self._doubt
        chosen = set(step_ids)
        for step_id in [name for name in self._run.graph.steps if name in chosen]:
            name = self._run.name_of(step_id)
            began = self._record.steps[name].state is not StepState.PENDING
            self._record.reset_step(name)
            if began and doubt is not None:
                known = self._record.feedback.get(name, [])
                self._record.tell_step(name, [told for told in doubt.feedback if told not in known])
        self._decided(chosen)

    def _decided(self, step_ids: Iterable[str]) -> None:
        doubt = self._doubt
        if doubt is not None:
            doubt.steps.difference_update(step_ids)
            doubt.again.difference_update(step_ids)
            # What has been doubted anew meanwhile keeps back all that wait for it, these among them.
            doubt.steps |= self._run.graph.dependents(doubt.steps)
