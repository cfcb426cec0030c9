"""Puts rows back."""

from __future__ import annotations

from typing import Any, Literal

from ...saga.undo import Undo


def remove_inserted_row(undo: Undo[Any]) -> None:
    """Deletes the row that was added; where others have changed it since, a person is asked instead."""
    _restore(undo, "insert")


def restore_updated_rows(undo: Undo[Any]) -> None:
    """Gives the rows their values back; where others have changed them since, a person is asked instead."""
    _restore(undo, "update")


def restore_deleted_rows(undo: Undo[Any]) -> None:
    """Puts deleted rows back; where others have changed them since, a person is asked instead."""
    _restore(undo, "delete")


def _restore(undo: Undo[Any], verb: Literal["insert", "update", "delete"]) -> None:
    # SQLAlchemy is an extra: only a worker that has changed rows loads it.
    from ...resources.row_change import restore_rows

    happened = undo.output is not None
    restore_rows(undo.idempotency_key, undo.task_id, verb, happened=happened)
