"""Shows a task in a terminal: as a board that changes, or with one line for each change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...saga.counted import counted
from ...saga.limits.usage import cost_of
from ...saga.record.step_record import UNDER_WAY
from ...saga.spec.task_spec import KINDS
from .output import printable, say
from .questions import PromptedQuestion, questions_of
from .undo_rows import duration_of, undo_rows

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
    "to come": ("·", "dim"),
    "needs_attention": ("!", "red"),
}
# In the ledger, "skipped" means that an effect still stands, which is not harmless.
_UNDO_STYLES: Final = {**_STYLES, "skipped": ("✘", "yellow")}
_VERBS: Final = {"start": "started"}
_CALLED: Final = ("agent", "tool", "team", "activity", "workflow")
_LONGEST: Final = 300
_NUMBERS: Final = ("time", "tries")


class View(Protocol):
    """Something that shows boards."""

    def show(self, board: Board) -> None:
        """Shows a board, which may be the same as before."""

    def pause(self) -> None:
        """Stops writing to the terminal, so that others can; boards are only remembered."""

    def resume(self) -> None:
        """Starts writing again and shows the last board."""


def open_view(options: Sequence[str] = ()) -> View:
    """Opens a live board if stderr is a terminal, and otherwise a view that prints lines.

    Args:
        options: The command-line options with which other commands reach the task's server.

    Returns:
        The view; it shows each question once, with the commands that answer it.
    """
    return LiveBoard(options) if sys.stderr.isatty() else Lines(options)


class _Asked:
    """The questions that a view has shown already."""

    def __init__(self, options: Sequence[str], say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._open: list[PromptedQuestion] = []

    def tell(self, board: Board) -> None:
        questions = questions_of(board, self._options)
        for question in questions:
            if question not in self._open:
                for line in question.lines():
                    self._say(line)
        self._open = questions


class Lines:
    """Prints one line for each change, taken from the board's log."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        """Starts without having shown anything."""
        self._asked = _Asked(options, say)
        self._last = 0
        self._begin: datetime | None = None
        self._board: Board = {}
        self._is_paused = False

    def show(self, board: Board) -> None:
        """See `View`."""
        self._board = board
        if self._is_paused or not board:
            return
        for line in self._new(board.get("log", ())):
            self._last = line["n"]
            at = datetime.fromisoformat(line["at"])
            self._begin = self._begin or at
            text = sentence(line)
            if text:
                say(f"[{(at - self._begin).total_seconds():6.1f}s] {text}")
        self._asked.tell(board)

    def pause(self) -> None:
        """See `View`."""
        self._is_paused = True

    def resume(self) -> None:
        """See `View`."""
        self._is_paused = False
        self.show(self._board)

    def _new(self, log: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Returns the lines after the last one shown; the log drops its oldest lines."""
        return [line for line in log if line["n"] > self._last]


class LiveBoard:
    """Shows the board as a table that is redrawn with each change."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        """Prepares the table; nothing is drawn before the first board."""
        self._asked = _Asked(options, self._say)
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._board: Board = {}
        self._is_paused = False

    def show(self, board: Board) -> None:
        """See `View`."""
        self._board = board
        if self._is_paused or not board:
            return
        if self._live is None:
            self._live = Live(
                get_renderable=lambda: render(self._board), console=self._console, refresh_per_second=5
            )
            self._live.start()
        self._asked.tell(board)

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

    def _say(self, line: str) -> None:
        """Prints a line above the table without wrapping it, because it may be a command to copy."""
        self._console.print(Text(printable(line)), soft_wrap=True)


def print_board(board: Board) -> None:
    """Prints one board for people."""
    Console(stderr=True).print(render(board))


def render(board: Board) -> RenderableType:
    """Draws a board."""
    steps: Mapping[str, Any] = board.get("steps", {})
    parts: list[RenderableType] = [_headline(board)]
    if steps:
        rows = [(name, step["state"], *_step(step, _asked_now(name, board))) for name, step in steps.items()]
        parts.append(_table(("step", "state", "by", "time", ""), rows, _STYLES))
    undos = undo_rows(board)
    if undos:
        parts.append(_table(("undo of", "state", "by", "begun", "time", "tries", ""), undos, _UNDO_STYLES))
    if board.get("failure"):
        parts.append(Text(f"First failure: {failure_line(board['failure'])}", style="red"))
    return Group(*parts)


def state_text(state: str) -> Text:
    """Returns a task's state with its mark and its colour."""
    mark, style = _STYLES.get(state, ("", ""))
    return Text(f"{mark} {state.replace('_', ' ')}".strip(), style=style)


def usage_line(usage: Mapping[str, Any]) -> str:
    """Says what was spent on models, in a few words."""
    calls = usage["model_calls"]
    cost = cost_of(usage["usd"], usage.get("unpriced_models") or ())
    return f"{counted(calls, 'model call')}, {counted(usage['tokens'], 'token')}, {cost}"


def _headline(board: Board) -> Text:
    state = board["state"]
    mark, style = _STYLES.get(state, ("", ""))
    line = Text.assemble((mark, style), " ", (_clean(board["task"]), "bold"), " ", (state, style))
    if board.get("usage"):
        line.append(f"   {usage_line(board['usage'])}", style="dim")
    source = board.get("forked_from")
    if source:
        line.append(f"\nforked from {_clean(source['id'])} before {_clean(source['step'])}", style="dim")
    return line


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, tuple[str, str]]
) -> Table:
    """Makes a table whose second column is a state."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", *headings):
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for name, state, *others in rows:
        mark, style = styles.get(state, (" ", ""))
        cells = (Text(mark, style=style), Text(_clean(name)), Text(state, style=style))
        table.add_row(*cells, *(Text(_clean(cell)) for cell in others))
    return table


def _asked_now(name: str, board: Board) -> str:
    """Says whom the teams of a step are asking; a team inside of another one speaks for it."""
    running = [move for move in board.get("moves", ()) if move.get("state") == "running"]
    calls = [move["call"] for move in running]
    inmost = [move for move in running if not any(call.startswith(f"{move['call']}/") for call in calls)]
    mine = [move["member"] for move in inmost if move["call"].startswith((f"{name}/", f"{name}["))]
    return f"asks {', '.join(mine)}" if mine else ""


def _step(step: Mapping[str, Any], asked: str) -> tuple[str, str, str]:
    by = next((str(step[kind]) for kind in _CALLED if kind in step), "")
    by = by or next((kind for kind in KINDS if kind in step), "")
    if step.get("taken_over"):
        return by, "", "taken over"
    time = duration_of(step)
    degraded = f"degraded: {step['degraded']}" if step.get("degraded") else ""
    now = asked if step["state"] in UNDER_WAY else ""
    return by, time, (step.get("error") or degraded or now) if time else ""


def sentence(line: Mapping[str, Any]) -> str:
    """Returns a line of the log as a sentence; empty if another line says the same."""
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
