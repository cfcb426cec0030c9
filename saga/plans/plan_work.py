"""What a plan is run for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..record.plan_book import ItemRecord
from ..record.step_record import StepState
from ..temporal.stop_scope import StopScope
from .planned_item import PlannedItem


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """A plan as it is now.

    Attributes:
        items: Its items, in its order.
        faults: What is wrong with it; where there is something, nothing of it runs.
    """

    items: Sequence[PlannedItem]
    faults: Sequence[str] = ()


class PlanWork(Protocol):
    """What a plan is run for."""

    async def read(self) -> ReadPlan:
        """Returns the plan as it is now; raises `Failed` where there is none."""

    async def refused(self, faults: Sequence[str]) -> None:
        """Decides about a plan that cannot be run; returns to have it read again.

        Raises:
            Failed: There is to be another plan, or none.
        """

    async def do(
        self, item: PlannedItem, results: dict[str, Any], after: frozenset[str], scope: StopScope
    ) -> tuple[StepState, Any]:
        """Does one item.

        Args:
            item: Which.
            results: The outputs of the items that it comes directly after, by key.
            after: The ledger entries that it builds on.
            scope: What it is stopped with.

        Returns:
            Completed or skipped, and its output.

        Raises:
            Failed: It failed; a `RetryFromStep` lets those that run come to their ends.
        """

    def entries_before(self) -> frozenset[str]:
        """Returns the ledger entries that the whole plan builds on."""

    async def make_way(self, entries: frozenset[str], reason: str) -> None:
        """Has everything outside the plan undone that builds on entries which are about to be undone."""

    async def is_frozen(self, begun: ItemRecord) -> bool:
        """Says whether an item may not be undone any more.

        Raises:
            ExpressionError: That cannot be told.
        """

    def is_paused(self) -> bool:
        """Says whether no more items are to be begun in this run of the workflow."""
