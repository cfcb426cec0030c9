"""What runs the items of a step one by one, for whoever decides about their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ...record.step_record import StepState
from .step_surroundings import StepItem


class ItemRuns(Protocol):
    """What runs the items of a step one by one."""

    def variables(self) -> dict[str, Any]:
        """Returns what expressions of the step see."""

    async def items(self, source: str) -> list[Any] | None:
        """Returns the items of `for_each`; None where the step is not wanted."""

    async def item(self, item: StepItem) -> tuple[StepState, Any]:
        """Runs one item to its end, whatever follows its failures."""

    async def refuse_plan(self, faults: Sequence[str]) -> bool:
        """Does what the step says about a rejection; True to skip the step, else the plan is read again."""
