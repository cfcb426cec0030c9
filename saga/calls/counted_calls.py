"""Tool calls and handoffs, which budgets count: room for each before it is made, and only those that are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from ..errors import FailureType
from ..failure import Failed, Failure
from ..limits.usage import ONE_TOOL_CALL, Usage
from ..record.costs_of_calls import count_calls
from ..record.task_record import TaskRecord
from ..temporal.stop_scope import StopScope

FindRoom = Callable[[str, Usage, Usage, Callable[[], bool]], Awaitable[str | None]]
"""Looks for room that may come back, or that the parent has; see `Allotments.find_room`."""


class CountedCalls:
    """Counts the tool calls and the handoffs of one task.

    Attributes:
        find_room: Where a budget allows no more of them; None to look nowhere.
    """

    def __init__(self, record: TaskRecord, *, engine: int) -> None:
        """Counts for a task.

        Args:
            record: Holds the budgets.
            engine: By which rules the task is run, see `ENGINE`.
        """
        self.find_room: FindRoom | None = None
        self._record = record
        self._counts_tools = engine >= 4
        self._counts_made = engine >= 7

    async def expect_room(
        self, step: str, path: str, scope: StopScope, wanted: Usage = ONE_TOOL_CALL
    ) -> None:
        """Waits until the budgets allow a call, where something may come back or the parent has more.

        Args:
            step: The step that it belongs to.
            path: Where it is made.
            scope: The part of the task that it belongs to.
            wanted: What it counts as.

        Raises:
            Failed: They do not, and will not (type ``BudgetExceeded``).
            Stopped: The scope was stopped.
        """
        if not self._counts_made or self.find_room is None or self._record.committed:
            return
        while self._record.spending.refusal(path, wanted) is not None:
            refused = await self.find_room(path, wanted, wanted, lambda: scope.stopped)
            scope.check(step)
            if refused is not None:
                failure = Failure(step=step, type=FailureType.BUDGET_EXCEEDED, message=refused)
                raise Failed(failure, not_applied=True)

    @contextmanager
    def tool_call(self, step: str, path: str) -> Iterator[None]:
        """Counts a tool call that is made ready inside; what is stopped or refused there was not made.

        Args:
            step: The step that it belongs to.
            path: Where it is made.

        Raises:
            Failed: The budgets do not allow it (type ``BudgetExceeded``).
        """
        if not self._counts_made:
            if self._counts_tools:
                count_calls(self._record, step, path, ONE_TOOL_CALL)
            yield
            return
        reserved = self._record.reserve(step, path, ONE_TOOL_CALL, waits=True)
        try:
            yield
        finally:
            self._record.spending.release(reserved)
        self._record.spending.add(ONE_TOOL_CALL, path)
