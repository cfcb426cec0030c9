"""Makes a failing spec shorter as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from ...client.start_once import spec_document
from ...saga.ledger.call_id import CallId
from ...saga.spec.task_spec import TaskSpec
from .fault import FaultKind
from .report import Cell, Colour, Report, Shrunk
from .spec_reduction import Variables, bare, only_step, smaller

MAX_TRIES: Final = 60
"""Specs that are run at most; each takes about a second."""

TrySpec = Callable[[TaskSpec, FaultKind | None, str], Awaitable[Sequence[Cell]]]
"""Runs a spec with one kind of fault at the calls of one activity type; [] where it does not complete."""


def variables(task_input: Any, board: Mapping[str, Any]) -> Variables:
    """Returns the values that the expressions of a task read in a run, taken from its board."""
    steps = {
        name: {"state": step["state"], "output": step["output"]} for name, step in board["steps"].items()
    }
    return {"task": task_input, "facts": {}, "steps": steps}


async def shrink_failure(report: Report, spec: TaskSpec, seen: Variables, try_spec: TrySpec) -> Shrunk | None:
    """Looks for the shortest spec that fails as the first red cell does: with one of its invariants.

    Args:
        report: The report; without a red cell, nothing is done.
        spec: The whole spec.
        seen: The values that expressions read in a clean run; they replace the steps that are left out.
        try_spec: Runs a spec, as `TrySpec` describes.

    Returns:
        The shortest spec that was found; None if no shorter one fails.
    """
    red = [cell for cell in report.cells if cell.colour is Colour.RED]
    if not red:
        return None
    cell = next((cell for cell in red if cell.kind is not None), red[0])
    hunt = _Hunt(cell, seen, try_spec)
    shortest = await hunt.shorten(spec)
    if shortest is spec:
        return None
    return Shrunk(label=cell.label, spec=spec_document(shortest), input=seen["task"])


class _Hunt:
    def __init__(self, cell: Cell, seen: Variables, try_spec: TrySpec) -> None:
        self._cell = cell
        self._seen = seen
        self._try_spec = try_spec
        self._left = MAX_TRIES
        self._tried: set[str] = set()

    async def shorten(self, spec: TaskSpec) -> TaskSpec:
        if self._cell.point is not None:
            # Most failures need only the step in which they show.
            first = CallId.parse(self._cell.point.id).step_ids[0]
            alone = only_step(spec, first, self._seen)
            spec = alone if await self._fails(alone) else spec
        stripped = bare(spec)
        spec = stripped if await self._fails(stripped) else spec
        while (shorter := await self._shorter(spec)) is not None:
            spec = shorter
        return spec

    async def _shorter(self, spec: TaskSpec) -> TaskSpec | None:
        for candidate in islice(smaller(spec, self._seen), MAX_TRIES):
            if await self._fails(candidate):
                return candidate
        return None

    async def _fails(self, spec: TaskSpec) -> bool:
        written = spec.model_dump_json()
        if written in self._tried or not self._left or not spec.steps:
            return False
        self._tried.add(written)
        wanted = {violation.invariant for violation in self._cell.violations}
        activity = self._cell.point.activity if self._cell.point else ""
        cells = await self._try_spec(spec, self._cell.kind, activity)
        self._left -= bool(cells)
        return any(violation.invariant in wanted for cell in cells for violation in cell.violations)
