"""A task as people see it in a terminal: a board that changes, or one line for each change."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .output import printable, say

Board = Mapping[str, Any]

_STYLES: Final = {
    "pending": ("·", "dim"),
    "running": ("▶", "cyan"),
    "waiting": ("…", "yellow"),
    "completed": ("✔", "green"),
    "skipped": ("-", "dim"),
    "failed": ("✘", "red"),
    "rejected": ("✘", "red"),
    "cancelled": ("■", "yellow"),
    "undone": ("↩", "magenta"),
    "compensating": ("↩", "magenta"),
    "rolled_back": ("↩", "magenta"),
    "rollback_incomplete": ("✘", "red"),
    "undoing": ("↩", "magenta"),
    "stuck": ("✘", "red"),
}
_VERBS: Final = {"start": "started"}
_LONGEST: Final = 300


class View(Protocol):
    """Something that shows boards."""

    def show(self, board: Board) -> None:
        """Shows a board, which may be the same as before."""

    def pause(self) -> None:
        """Leaves the terminal to somebody else; boards are only remembered."""

    def resume(self) -> None:
        """Takes the terminal back and shows the last board."""


def open_view() -> View:
    """A live board where stderr is a terminal, lines where it is not."""
    return LiveBoard() if sys.stderr.isatty() else Lines()


class Lines:
    """One line for each change, from the board's log."""

    def __init__(self) -> None:
        """Starts with nothing shown."""
        self._last = 0
        self._begin: datetime | None = None
        self._board: Board = {}
        self._is_paused = False

    def show(self, board: Board) -> None:
        """See `View`."""
        self._board = board
        if self._is_paused:
            return
        for line in self._new(board.get("log", ())):
            self._last = line["n"]
            at = datetime.fromisoformat(line["at"])
            self._begin = self._begin or at
            text = _sentence(line)
            if text:
                say(f"[{(at - self._begin).total_seconds():6.1f}s] {text}")

    def pause(self) -> None:
        """See `View`."""
        self._is_paused = True

    def resume(self) -> None:
        """See `View`."""
        self._is_paused = False
        self.show(self._board)

    def _new(self, log: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The lines after the last one shown; the log drops its oldest."""
        return [line for line in log if line["n"] > self._last]


class LiveBoard:
    """The board as a table that is drawn again and again."""

    def __init__(self) -> None:
        """Draws nothing before the first board."""
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._board: Board = {}
        self._is_paused = False

    def show(self, board: Board) -> None:
        """See `View`."""
        self._board = board
        if self._live is None and board and not self._is_paused:
            self._live = Live(
                get_renderable=lambda: render(self._board), console=self._console, refresh_per_second=5
            )
            self._live.start()

    def pause(self) -> None:
        """See `View`."""
        self._is_paused = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    def resume(self) -> None:
        """See `View`."""
        self._is_paused = False
        self.show(self._board)


def print_board(board: Board) -> None:
    """Prints one board for people."""
    Console(stderr=True).print(render(board))


def render(board: Board) -> RenderableType:
    """Draws a board."""
    steps: Mapping[str, Any] = board.get("steps", {})
    parts: list[RenderableType] = [_headline(board)]
    if steps:
        parts.append(_table("step", [(name, step["state"], *_step(step)) for name, step in steps.items()]))
    undos = [entry for entry in board.get("ledger", ()) if entry["attempts"]]
    if undos:
        rows = [(e["step"], e["state"], e["compensation"], "", e["error"] or "") for e in undos]
        parts.append(_table("undo of", rows))
    if board.get("failure"):
        parts.append(Text(f"First failure: {failure_line(board['failure'])}", style="red"))
    return Group(*parts)


def usage_line(usage: Mapping[str, Any]) -> str:
    """Says what was spent on models, in a few words."""
    calls = usage["model_calls"]
    line = f"{calls} model call{'' if calls == 1 else 's'}, {usage['tokens']} tokens, ${usage['usd']:.4f}"
    unpriced = usage.get("unpriced_models")
    return f"{line} (without {', '.join(unpriced)}: no price is known)" if unpriced else line


def _headline(board: Board) -> Text:
    state = board["state"]
    mark, style = _STYLES.get(state, ("", ""))
    line = Text.assemble((mark, style), " ", (_clean(board["task"]), "bold"), " ", (state, style))
    if board.get("usage"):
        line.append(f"   {usage_line(board['usage'])}", style="dim")
    return line


def _table(title: str, rows: Sequence[tuple[str, str, str, str, str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", title, "state", "by", "time", ""):
        table.add_column(heading, justify="right" if heading == "time" else "left")
    for name, state, by, time, remark in rows:
        mark, style = _STYLES.get(state, (" ", ""))
        cells = (
            Text(mark, style=style),
            _clean(name),
            Text(state, style=style),
            _clean(by),
            time,
            _clean(remark),
        )
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
    return table


def _step(step: Mapping[str, Any]) -> tuple[str, str, str]:
    by = step.get("agent") or step.get("tool") or step.get("activity") or "group"
    begin, end = step.get("started"), step.get("finished")
    if not begin:
        return by, "", ""
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    seconds = max(0.0, (until - datetime.fromisoformat(begin)).total_seconds())
    return by, f"{seconds:.1f}s", step.get("error") or ""


def _sentence(line: Mapping[str, Any]) -> str:
    """A line of the log for people; empty for what another line says as well."""
    what, step, who, why = line["what"], line["step"], line["who"], line["why"]
    if what in ("passed", "failure"):
        return ""
    because = f": {_clean(why)}" if why else ""
    if who == "counterstep":
        return f"{step}: {what}{because}" if step else f"{what}{because}"
    return f"{step or 'task'}: {_VERBS.get(what, what)} ({who}){because}"


def failure_line(failure: Mapping[str, str]) -> str:
    """Says in one line what failed."""
    where = f"step {failure['step']!r}: " if failure["step"] else ""
    return _clean(f"{where}{failure['type']}: {failure['message']}")


def _clean(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
