"""The whole state of a task as one value, derived from its book, as JSON and as Markdown."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .carried import direct
from .catalog import RECOVER_CHILD
from .ledger import Entry
from .progress import Progress, StepState

if TYPE_CHECKING:
    from .book import Book

MAX_OUTPUT = 50_000
MAX_OUTPUTS = 1_000_000
"""Bytes of one output, and of all, on the board: the answer to a query has to fit into one message."""

MAX_LINES = 200
"""Steps, and undos, that the Web UI shows: it passes the whole text around as an address."""

_MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "▶",
    StepState.WAITING: "?",
    StepState.COMPLETED: "✔",
    StepState.SKIPPED: "»",
    StepState.FAILED: "✘",
    StepState.REJECTED: "✘",
    StepState.CANCELLED: "■",
    StepState.UNDONE: "↩",
}


def board(book: Book) -> dict[str, Any]:
    """Derives the board.

    Returns:
        A JSON object: ``task``, ``state``, ``goal``, ``steps`` (by id), ``ledger``, ``usage``, ``budget``,
        ``waiting_for``, ``failure`` and ``log``. An entry of the ledger names what it depends on without what
        that depends on already. Together they are the application state (outputs), the
        operation state (the log) and the dependency state (``needs`` and verdicts) of SagaLLM
        (arXiv 2503.11951, section 3).
    """
    room = MAX_OUTPUTS // max(1, len(book.steps))
    known = {entry_id: position for position, entry_id in enumerate(book.ledger.entries)}
    return {
        "task": book.task,
        "task_id": book.task_id,
        "state": book.state.value,
        "goal": book.goal,
        "steps": {name: _step(progress, room) for name, progress in book.steps.items()},
        "ledger": [_entry(entry, direct(entry, known, book.ledger)) for entry in book.ledger],
        "usage": book.usage.report(),
        "budget": book.budget.model_dump(mode="json"),
        "waiting_for": book.waiting_for(),
        "failure": book.failure.model_dump(mode="json") if book.failure else None,
        "log": list(book.log),
    }


def markdown(book: Book) -> str:
    """Renders the board for the Web UI's task details: in lists, for it shows tables without any space."""
    parts = [f"**{_line(book.task)}**: {book.state.value}", _line(book.goal)]
    asked = [_asked(question, book.task_id) for question in book.waiting_for()]
    parts += _section("Waits for an answer", asked)
    parts += _section("Steps", [_progress(name, progress) for name, progress in book.steps.items()])
    ended = {entry_id: None for entry_id in book.undo_order}
    begun = [entry.id for entry in book.ledger if entry.attempts and entry.id not in ended]
    undos = [_undo(book.ledger[entry_id]) for entry_id in (*ended, *begun)]
    parts += _section("Undos, in their order", undos)
    if book.failure:
        parts.append(f"**First failure:** {_line(str(book.failure))}")
    usage = book.usage
    spent = f"{usage.model_calls} model calls, {usage.tokens} tokens, ${usage.usd:.4f}"
    if usage.unpriced_calls:
        models = ", ".join(usage.unpriced_models)
        spent += f" (no price is known for {models}: {usage.unpriced_calls} calls are not in the sum)"
    return "\n\n".join(part for part in (*parts, spent) if part)


def _section(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    lines = [f"- {item}" for item in items[:MAX_LINES]]
    if len(items) > MAX_LINES:
        lines.append(f"- and {len(items) - MAX_LINES} more, which the query `board` shows")
    return ["\n".join([f"### {title}", *lines])]


def _asked(question: Mapping[str, Any], task_id: str) -> str:
    task, step = question.get("task", task_id), question["step"]
    command = shlex.join(["counterstep", question["update"], task, step, "ACTION"])
    code = " ".join(command.split()).replace("`", "'")
    actions = ", ".join(map(_line, question["actions"]))
    return f"**{_line(step)}**: {_line(question['ask'])} (`{code}`, one of: {actions})"


def _progress(name: str, progress: Progress) -> str:
    by = f", by {progress.target}" if progress.target else ""
    return f"{_MARKS[progress.state]} **{name}** {progress.state.value}{by}"


def _undo(entry: Entry) -> str:
    return f"**{entry.step}** {entry.state.value}, by {entry.compensation}{_line(_error(entry))}"


def _line(text: str) -> str:
    """What somebody wrote must not end a list, nor what they wrote in Markdown look like ours."""
    escaped = re.sub(r"([\\*_`~<\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^([0-9]*)([#>+=.)-])", r"\1\\\2", escaped)


def _step(progress: Progress, room: int) -> dict[str, Any]:
    call = {progress.kind: progress.target} if progress.kind != "group" else {"group": True}
    return {
        "state": progress.state.value,
        **call,
        "needs": list(progress.needs),
        "attempts": progress.attempts,
        "started": _time(progress.started),
        "finished": _time(progress.finished),
        "output": _bounded(progress.output, min(MAX_OUTPUT, max(room, 1_000))),
        "error": progress.error,
        "verdicts": [verdict.model_dump(mode="json") for verdict in progress.verdicts],
        "usage": {"model_calls": progress.model_calls, "tokens": progress.tokens, "usd": progress.usd},
    }


def _entry(entry: Entry, depends_on: Sequence[str]) -> dict[str, Any]:
    is_child = entry.compensation == RECOVER_CHILD and entry.input is not None
    return {
        "id": entry.id,
        "step": entry.step,
        "compensation": entry.compensation,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "error": entry.error,
        "depends_on": sorted(depends_on),
        **({"child": entry.input["workflow_id"]} if is_child else {}),
    }


def _bounded(output: Any, most: int) -> Any:
    size = len(json.dumps(output, ensure_ascii=False))
    return output if size <= most else f"{size} bytes: too large for the board, see the history"


def _error(entry: Entry) -> str:
    return f": {entry.error}" if entry.error else ""


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
