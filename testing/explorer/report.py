"""The report of the fault explorer: a matrix of points and kinds, what failed, and how to repeat it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .compensation_contract import Finding
from .fault import FaultKind, PlannedFault, Point
from .invariants import Invariant, Violation

_WIDTH: Final = 160
_NARROW: Final = 120


class Colour(StrEnum):
    """The result of a cell."""

    GREEN = "green"
    """The fault happened, and every invariant holds."""
    RED = "red"
    """An invariant does not hold."""
    MISSED = "missed"
    """The run never came to the point, so nothing was shown."""


_MARKS: Final = {
    Colour.GREEN: ("✔", "green"),
    Colour.RED: ("✘", "bold red"),
    Colour.MISSED: ("?", "yellow"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One run under one fault.

    Attributes:
        point: What was broken; None if nothing was.
        kind: How it was broken; None if nothing was.
        state: How the task ended according to its board; ``running`` if it did not end.
        violations: The invariants that did not hold.
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
    def fault(self) -> PlannedFault | None:
        """What was broken."""
        return PlannedFault(self.point.id, self.kind) if self.point and self.kind else None


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
        file = io.StringIO()
        self.show(Console(file=file, color_system=None))
        return file.getvalue()

    def show(self, console: Console) -> None:
        """Shows the report on a terminal, or as wide as it needs to be if the output is not a terminal."""
        if not console.is_terminal:
            console.width = _WIDTH
        narrow = console.width < _NARROW
        console.print(_table(self, narrow=narrow), *map(Text, _lines(self)), _totals(self), sep="\n")


def _table(report: Report, *, narrow: bool) -> Table:
    kinds = [kind for kind in FaultKind if any(cell.kind is kind for cell in report.cells)]
    cells = {(cell.point.id, cell.kind): cell for cell in report.cells if cell.point is not None}
    shown = [point for point in report.points if any(key[0] == point.id for key in cells)]
    table = Table(box=SIMPLE_HEAD, title=f"{report.task}: one fault a run", title_justify="left")
    table.add_column("point", overflow="fold")
    if not narrow:
        table.add_column("runs", overflow="fold", style="dim")
    for kind in kinds:
        words = kind.value.replace(" ", "\n", 1)
        table.add_column(words, justify="center", no_wrap=True, min_width=max(map(len, words.splitlines())))
    for point in shown:
        marks = [_mark(point, kind, cells.get((point.id, kind))) for kind in kinds]
        names = [point.id] if narrow else [point.id, point.activity]
        table.add_row(*map(Text, names), *marks)
    return table


def _mark(point: Point, kind: FaultKind, cell: Cell | None) -> Text:
    if cell is None:
        return Text("" if point.can(kind) else "n/a", style="dim")
    mark, style = _MARKS[cell.colour]
    return Text(mark, style=style)


def _lines(report: Report) -> Iterator[str]:
    for cell in report.failures:
        yield f"{_MARKS[cell.colour][0]} {cell.label} (the task ended {cell.state})"
        for violation in cell.violations:
            yield f"    {violation}"
        if cell.missed and not cell.violations:
            yield "    the run never came to this point"
        yield f"    again: {cell.reproduction}"
    for finding in report.findings:
        mark = "✘" if finding.certain else "!"
        yield f"{mark} {finding.compensation} after {finding.call}, {finding.rule}: {finding.message}"
    if report.shrunk is not None:
        yield from _shrunk_lines(report.shrunk)
    if report.failures or report.findings:
        yield ""


def _shrunk_lines(shrunk: Shrunk) -> Iterator[str]:
    yield f"The shortest spec found that still fails like this ({shrunk.label}), with the same input:"
    yield ""
    for line in yaml.safe_dump(dict(shrunk.spec), sort_keys=False, allow_unicode=True).splitlines():
        yield f"    {line}"


def _totals(report: Report) -> Text:
    figures = report.totals()
    words = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in figures.items())
    return Text(f"{words} ({report.seconds:.0f} s)", style="green" if report.ok else "red")
