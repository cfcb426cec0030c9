"""The board as Markdown, for the details of a task in Temporal's Web UI."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ..counted import counted
from ..failure import trim
from ..ledger.call_id import label_of
from ..ledger.ledger import Entry
from .step_record import StepRecord, StepState
from .undo_progress import UndoTime

if TYPE_CHECKING:
    from .task_record import TaskRecord

MAX_EVIDENCE = 500
"""Characters of what is shown to a person; the query `board` has all of it."""

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


def markdown(record: TaskRecord) -> str:
    """Renders the board for the Web UI's task details: in lists, for it shows tables without any space."""
    parts = [f"**{_line(record.task)}**: {record.state.value}", _line(record.goal)]
    if record.forked:
        source = record.forked
        parts.append(f"Forked from **{_line(source.id)}**, before its step **{_line(source.step)}**.")
    asked = [_asked(question, record.task_id) for question in record.waiting_for()]
    parts += _section("Waits for an answer", asked, len(asked))
    decisions = record.log.decisions
    parts += _section("Decided", map(_decided, reversed(decisions)), len(decisions))
    steps = (_progress(name, progress) for name, progress in record.steps.items())
    parts += _section("Steps", steps, len(record.steps))
    begun = record.ledger.begun()
    entries = chain((record.ledger[entry_id] for entry_id in record.undo_order), begun)
    undos = (_undo(entry, record.undos.times.get(entry.id)) for entry in entries)
    parts += _section("Undos, in their order", undos, len(record.undo_order) + len(begun))
    to_come = (
        f"**{_line(entry.label)}**, by {entry.compensation}" for entry in record.undos.to_come(record.ledger)
    )
    parts += _section("Still to be undone, newest first", to_come, record.undos.count_to_come(record.ledger))
    if record.failure:
        parts.append(f"**First failure:** {_line(str(record.failure))}")
    usage = record.spending.shown
    spent = f"{counted(usage.model_calls, 'model call')}, {counted(usage.tokens, 'token')}, {usage.cost()}"
    return "\n\n".join(part for part in (*parts, spent) if part)


def _section(title: str, items: Iterable[str], number: int) -> list[str]:
    if not number:
        return []
    lines = [f"- {item}" for item in islice(items, MAX_LINES)]
    if number > MAX_LINES:
        lines.append(f"- and {number - MAX_LINES} more, which the query `board` shows")
    return ["\n".join([f"### {title}", *lines])]


def _asked(question: Mapping[str, Any], task_id: str) -> str:
    task, name = question.get("task", task_id), question.get("entry") or question["step"]
    hash_ = ["--hash", question["hash"]] if question.get("hash") else []
    command = shlex.join(["counterstep", question["update"], task, name, "ACTION", *hash_])
    code = " ".join(command.split()).replace("`", "'")
    actions = ", ".join(map(_line, question["actions"]))
    answer = f"(`{code}`, one of: {actions})"
    return f"**{_line(label_of(name))}**: {_line(question['ask'])} {answer}{_terms(question)}"


def _terms(question: Mapping[str, Any]) -> str:
    """Says what is to be looked at, and what happens when nobody answers."""
    shown = f"; shown: {_evidence(question['show'])}" if "show" in question else ""
    late = f"; {_line(question['default'])} at {question['deadline']}" if "deadline" in question else ""
    return f"{shown}{late}"


def _decided(decision: Mapping[str, Any]) -> str:
    who, note = _line(decision["by"]), decision["note"]
    why = f": {_line(note)}" if note else ""
    edited = f"; instead: {_evidence(decision['value'])}" if "value" in decision else ""
    head = f"**{_line(decision['step'])}**: {_line(decision['action'])}, by {who} at {decision['at']}{why}"
    return f"{head} ({_line(decision['ask'])}{_terms(decision)}{edited})"


def _evidence(value: Any) -> str:
    return _line(trim(json.dumps(value, ensure_ascii=False), MAX_EVIDENCE))


def _progress(name: str, progress: StepRecord) -> str:
    by = f", by {progress.target}" if progress.target else ""
    degraded = f"; degraded: {_line(progress.degraded)}" if progress.degraded else ""
    taken = ", taken over" if progress.taken_over else ""
    return f"{_MARKS[progress.state]} **{name}** {progress.state.value}{by}{taken}{degraded}"


def _undo(entry: Entry, time: UndoTime | None) -> str:
    begun = f", begun {time.began:%Y-%m-%d %H:%M:%S} UTC" if time else ""
    took = f", took {(time.ended - time.began).total_seconds():.1f}s" if time and time.ended else ""
    often = f", begun {entry.attempts} times" if entry.attempts > 1 else ""
    what = f"**{_line(entry.label)}** {entry.state.value}, by {entry.compensation}"
    return f"{what}{begun}{took}{often}{_line(_error(entry))}"


def _line(text: str) -> str:
    """What somebody wrote must not end a list, nor what they wrote in Markdown look like ours."""
    escaped = re.sub(r"([\\*_`~<\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^([0-9]*)([#>+=.)-])", r"\1\\\2", escaped)


def _error(entry: Entry) -> str:
    return f": {entry.error}" if entry.error else ""
