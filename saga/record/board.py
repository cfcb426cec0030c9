"""The whole state of a task as one value, derived from its record, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..history_format import RECOVER_CHILD
from ..ledger.carry_over import direct
from ..ledger.ledger import Entry
from .bounded import bounded
from .step_record import StepRecord
from .undo_progress import UndoTime

if TYPE_CHECKING:
    from .task_record import TaskRecord


MAX_OUTPUT = 50_000
MAX_OUTPUTS = 1_000_000
"""Bytes of one output, and of all, on the board: the answer to a query has to fit into one message."""


def board(record: TaskRecord) -> dict[str, Any]:
    """Derives the board.

    Returns:
        A JSON object: ``task``, ``state``, ``goal``, ``steps`` (by id), ``ledger``, ``to_undo``, ``usage``,
        ``budget``, ``waiting_for``, ``decisions``, ``failure`` and ``log``; ``moves`` where a team has
        played, ``decided`` where anything else was decided, and ``forked_from`` (``id``, ``run_id``, ``step``
        and ``changes``) where it was forked from another one: steps of that one are ``taken_over``. An entry
        of the ledger names what it depends on without what that depends on already; ``to_undo`` lists the ids
        of those that a rollback has still to begin, newest first. Together they are the application state
        (outputs), the operation state (the log) and the dependency state (``needs`` and verdicts) of SagaLLM
        (arXiv 2503.11951, section 3).
    """
    room = MAX_OUTPUTS // max(1, len(record.steps))
    entries = list(record.ledger)
    return {
        "task": record.task,
        "task_id": record.task_id,
        "state": record.state.value,
        "goal": record.goal,
        "steps": {name: _step(progress, room) for name, progress in record.steps.items()},
        "ledger": [
            _entry(entry, needs, record.undos.times.get(entry.id))
            for entry, needs in zip(entries, direct(entries), strict=True)
        ],
        "to_undo": [entry.id for entry in record.undos.to_come(record.ledger)],
        "usage": record.spending.shown.report(),
        "budget": record.spending.budget.model_dump(mode="json"),
        "waiting_for": record.waiting_for(),
        "decisions": list(record.log.decisions),
        **({"moves": list(record.teams.moves)} if record.teams.moves else {}),
        **({"decided": list(record.log.decided.kept)} if record.log.decided.kept else {}),
        **({"forked_from": record.forked.shown()} if record.forked else {}),
        "failure": record.failure.model_dump(mode="json") if record.failure else None,
        "log": list(record.log.lines),
    }


def _step(progress: StepRecord, room: int) -> dict[str, Any]:
    call = {progress.kind: progress.target} if progress.kind != "group" else {"group": True}
    return {
        "state": progress.state.value,
        **call,
        "needs": list(progress.needs),
        "attempts": progress.attempts,
        "started": _time(progress.started),
        "finished": _time(progress.finished),
        "output": bounded(progress.output, min(MAX_OUTPUT, max(room, 1_000))),
        "error": progress.error,
        **({"degraded": progress.degraded} if progress.degraded else {}),
        **({"taken_over": True} if progress.taken_over else {}),
        "verdicts": [verdict.model_dump(mode="json") for verdict in progress.verdicts],
        "usage": {"model_calls": progress.model_calls, "tokens": progress.tokens, "usd": progress.usd},
    }


def _entry(entry: Entry, depends_on: Sequence[str], time: UndoTime | None) -> dict[str, Any]:
    is_child = entry.compensation == RECOVER_CHILD and entry.input is not None
    return {
        "id": entry.id,
        "step": entry.step,
        "compensation": entry.compensation,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "error": entry.error,
        "depends_on": sorted(depends_on),
        **({"started": _time(time.began), "finished": _time(time.ended)} if time else {}),
        **({"child": entry.input["workflow_id"]} if is_child else {}),
    }


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
