"""The undos of a task as the rows of a table: those that were begun, and those that are still to come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ...saga.ledger.call_id import label_of

MOST_TO_COME: Final = 20
"""Undos still to come that are shown; the rest is a number."""

TO_COME: Final = "to come"


def undo_rows(board: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Reads the undos from a board.

    Returns:
        Rows of what is undone, the state, the compensation, when the undo was begun (UTC), how long it took,
        how often it was tried, and the last error. First those that were begun, in that order; then those
        that the rollback has still to begin, newest first.
    """
    ledger = board.get("ledger", ())
    begun = sorted((e for e in ledger if e["attempts"]), key=lambda entry: entry.get("started") or "")
    rows = [_begun(entry) for entry in begun]
    ids = board.get("to_undo") or ()
    entries = {entry["id"]: entry for entry in ledger} if ids else {}
    to_come = [entries[id_] for id_ in ids]
    rows += [(_name(e), TO_COME, e["compensation"], "", "", "", "") for e in to_come[:MOST_TO_COME]]
    if len(to_come) > MOST_TO_COME:
        rows.append((f"{len(to_come) - MOST_TO_COME} more", TO_COME, "", "", "", "", ""))
    return rows


def duration_of(part: Mapping[str, Any]) -> str:
    """Returns how long a step or an undo took, or has taken so far; empty if it has not begun."""
    begin, end = part.get("started"), part.get("finished")
    if not begin:
        return ""
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return f"{max(0.0, (until - datetime.fromisoformat(begin)).total_seconds()):.1f}s"


def _begun(entry: Mapping[str, Any]) -> tuple[str, ...]:
    # Without the server's count, what is known is how often it was begun.
    tries = str(entry.get("tries") or entry["attempts"])
    time = _clock(entry.get("started")), duration_of(entry)
    return (_name(entry), entry["state"], entry["compensation"], *time, tries, entry["error"] or "")


def _name(entry: Mapping[str, Any]) -> str:
    return label_of(entry.get("id") or entry["step"])


def _clock(time: str | None) -> str:
    if not time:
        return ""
    at = datetime.fromisoformat(time).astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == datetime.now(UTC).date() else f"{at:%Y-%m-%d %H:%M:%S}"
