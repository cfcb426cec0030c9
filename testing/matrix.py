"""Shows a report: a matrix of points and kinds, what failed and how to repeat it, and the totals."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import yaml
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .fault import FaultKind, Point
from .report import Cell, Colour, Report, Shrunk

_WIDTH: Final = 160
_NARROW: Final = 120
_MARKS: Final = {
    Colour.GREEN: ("✔", "green"),
    Colour.RED: ("✘", "bold red"),
    Colour.MISSED: ("?", "yellow"),
}


def as_text(report: Report) -> str:
    """Returns a report without colours."""
    file = io.StringIO()
    show(report, Console(file=file, color_system=None))
    return file.getvalue()


def show(report: Report, console: Console) -> None:
    """Shows a report on a terminal; where there is none, as wide as it has to be."""
    if not console.is_terminal:
        console.width = _WIDTH
    narrow = console.width < _NARROW
    console.print(_table(report, narrow=narrow), *map(Text, _lines(report)), _totals(report), sep="\n")


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
