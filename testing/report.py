"""What the fault explorer has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .contract import Finding
from .fault import Fault, FaultKind, Point
from .invariants import Invariant, Violation


class Colour(StrEnum):
    """How a cell came out."""

    GREEN = "green"
    """The fault happened, and every invariant holds."""
    RED = "red"
    """An invariant does not hold."""
    MISSED = "missed"
    """The run never came to the point, so nothing was shown."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run under one fault.

    Attributes:
        point: What was broken; None for a run in which nothing was.
        kind: How; None likewise.
        state: How the task ended, as its board says; ``running`` where it did not.
        violations: What did not hold.
        missed: Whether the fault did not happen.
        label: ``POINT KIND``; what ``--only`` is compared with.
        reproduction: A command that repeats this cell alone.
    """

    point: Point | None
    kind: FaultKind | None
    state: str
    violations: tuple[Violation, ...]
    missed: bool
    label: str
    reproduction: str

    @property
    def colour(self) -> Colour:
        """How it came out."""
        if self.violations:
            return Colour.RED
        return Colour.MISSED if self.missed else Colour.GREEN

    @property
    def fault(self) -> Fault | None:
        """What was broken."""
        return Fault(self.point.id, self.kind) if self.point and self.kind else None


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A failure in its shortest form.

    Attributes:
        label: Of the cell.
        spec: The smallest spec that was found to fail in the same way; a JSON object.
        input: The task's input.
    """

    label: str
    spec: Mapping[str, Any]
    input: Any


@dataclass(frozen=True)
class Report:
    """What one exploration has found.

    Attributes:
        task: The name of the task.
        points: Where faults were injected, in the order of a clean run.
        cells: The runs.
        findings: About the contract of compensations.
        shrunk: The first failure in its shortest form, or None.
        seconds: How long it took.
    """

    task: str
    points: tuple[Point, ...]
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...] = ()
    shrunk: Shrunk | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every cell is green and no compensation certainly breaks its contract."""
        return all(cell.colour is Colour.GREEN for cell in self.cells) and not self.broken_contracts

    @property
    def broken_contracts(self) -> tuple[Finding, ...]:
        """The findings that are certain."""
        return tuple(finding for finding in self.findings if finding.certain)

    @property
    def failures(self) -> tuple[Cell, ...]:
        """The cells that are not green."""
        return tuple(cell for cell in self.cells if cell.colour is not Colour.GREEN)

    def count(self, invariant: Invariant) -> int:
        """Returns how many violations of one invariant there are."""
        return sum(v.invariant is invariant for cell in self.cells for v in cell.violations)

    def totals(self) -> dict[str, int]:
        """Returns the figures of the last line."""
        return {
            "faults_injected": sum(c.kind is not None and c.colour is not Colour.MISSED for c in self.cells),
            "orphaned_effects": self.count(Invariant.ORPHAN),
            "double_undos": self.count(Invariant.DOUBLE),
            "order_violations": self.count(Invariant.ORDER),
            "stuck": self.count(Invariant.STUCK),
            "other_violations": sum(
                v.invariant not in (Invariant.ORPHAN, Invariant.DOUBLE, Invariant.ORDER, Invariant.STUCK)
                for cell in self.cells
                for v in cell.violations
            ),
            "missed": sum(cell.colour is Colour.MISSED for cell in self.cells),
            "broken_contracts": len(self.broken_contracts),
        }

    def data(self) -> dict[str, Any]:
        """Returns the report as one JSON object."""
        return {
            "task": self.task,
            "ok": self.ok,
            "seconds": round(self.seconds, 1),
            "totals": self.totals(),
            "points": [{"id": p.id, "activity": p.activity, "role": p.role.value} for p in self.points],
            "cells": [
                {
                    "point": cell.point.id if cell.point else None,
                    "kind": cell.kind.value if cell.kind else None,
                    "label": cell.label,
                    "colour": cell.colour.value,
                    "state": cell.state,
                    "violations": [
                        {"invariant": v.invariant.value, "message": v.message} for v in cell.violations
                    ],
                    "reproduction": cell.reproduction,
                }
                for cell in self.cells
            ],
            "contract": [finding.model_dump(mode="json") for finding in self.findings],
            "shrunk": (
                {"label": self.shrunk.label, "spec": dict(self.shrunk.spec), "input": self.shrunk.input}
                if self.shrunk
                else None
            ),
        }

    def text(self) -> str:
        """Returns the report for people: matrix, failures, totals."""
        from .matrix import as_text

        return as_text(self)
