"""The state that a task shows: on its board and as search attributes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from .search_attributes import SAGA_COST, SAGA_STATE, SAGA_STEP, SAGA_TASK
from .task_record import TaskRecord
from .task_state import TaskState


class Status:
    """Where one task is; what it waits for is shown before what goes on beside it.

    Attributes:
        phase: The way the task is on: forward, back, or its end.
        waits_changed: Called when somebody has begun, or ended, to wait for a person.
    """

    def __init__(self, record: TaskRecord, *, search_attributes: bool, engine: int) -> None:
        """Shows nothing yet.

        Args:
            record: The task's record.
            search_attributes: Whether the namespace is known to have all of ours. Where it is not, the state
                is written if the start of the task has named one.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self.phase = TaskState.RUNNING
        self._blamed = ""
        self.waits_changed: Callable[[], None] = lambda: None
        self._record = record
        self._search_attributes = search_attributes
        self._keeps_said = engine >= 10
        self._waits: dict[TaskState, Counter[str]] = {
            TaskState.NEEDS_ATTENTION: Counter(),
            TaskState.WAITING: Counter(),
        }

    def begin(self) -> None:
        """Shows the task as running."""
        self._show(TaskState.RUNNING, SAGA_TASK.value_set(self._record.task))

    def enter(self, phase: TaskState, step: str = "") -> None:
        """Shows the next phase.

        Args:
            phase: The phase; the end of the task, or ``compensating``.
            step: Where it failed, if a step is to blame.
        """
        self.phase, self._blamed = phase, step
        if phase is TaskState.COMPENSATING:
            self._show(phase, *self._at(step))
        else:
            cost = SAGA_COST.value_set(round(self._record.spending.shown.usd, 6))
            self._show(phase, cost, *self._at(""))

    def hold(self, state: TaskState, step: str) -> None:
        """Shows that `step` waits for a person, until `release` is called with the same."""
        self._waits[state][step] += 1
        self._update()

    def release(self, state: TaskState, step: str) -> None:
        """Ends what `hold` began."""
        waits = self._waits[state]
        waits[step] -= 1
        if not waits[step]:
            del waits[step]
        self._update()

    def _update(self) -> None:
        waits = ((state, next(iter(steps))) for state, steps in self._waits.items() if steps)
        state, step = next(waits, (self.phase, self._blamed))
        if state is not self._record.state:
            self._show(state, *self._at(step))
        else:
            self._record.refresh()
        self.waits_changed()

    def _at(self, step: str) -> list[SearchAttributeUpdate[Any]]:
        """Names the step that is to blame or waits; where there is none, takes the name back."""
        if not self._search_attributes:
            return []
        if step:
            return [SAGA_STEP.value_set(step)]
        # A run that continues another one has inherited its attributes.
        named = workflow.info().typed_search_attributes.get(SAGA_STEP)
        return [SAGA_STEP.value_unset()] if named else []

    def _show(self, state: TaskState, *also: SearchAttributeUpdate[Any]) -> None:
        self._record.enter(state)
        updates: list[SearchAttributeUpdate[Any]] = [SAGA_STATE.value_set(state.value), *also]
        if self._keeps_said:
            updates = self._news(updates)
        elif not self._search_attributes:
            updates = []
        if updates:
            workflow.upsert_search_attributes(updates)

    def _news(self, updates: list[SearchAttributeUpdate[Any]]) -> list[SearchAttributeUpdate[Any]]:
        """Leaves out what the start of the task has said, or an earlier run: each write is an event."""
        said = workflow.info().typed_search_attributes
        if not self._search_attributes:
            updates = updates[:1] if said.get(SAGA_STATE) else []
        return [update for update in updates if said.get(update.key) != update.value]
