"""Rows of the tables that the worker allows. SQLAlchemy, the extra ``sql``, is loaded by the first call."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ...bundle.current_step import current_step
from ...saga.errors import NotApplied

Values = dict[str, Any]


class ChangedRows(BaseModel):
    """The rows that were changed: as they are now, or as they were where they are deleted."""

    model_config = ConfigDict(frozen=True)

    table: str
    rows: list[Values]


def select_rows(
    table: str, where: Values | None = None, limit: Annotated[int, Field(ge=1, le=1000)] = 100
) -> list[Values]:
    """Reads rows of a table whose columns have the given values, in the order of the primary key."""
    found: list[Values] = _rows().select_rows(table, where or {}, limit)
    return found


def insert_row(table: str, values: Values) -> ChangedRows:
    """Adds one row to a table."""
    step = current_step()
    return ChangedRows(
        table=table, rows=_rows().insert_row(step.idempotency_key, step.task_id, table, values)
    )


def update_rows(table: str, where: Values, values: Values) -> ChangedRows:
    """Changes the rows of a table whose columns have the values of `where`."""
    step = current_step()
    rows = _rows().update_rows(step.idempotency_key, step.task_id, table, where, values)
    return ChangedRows(table=table, rows=rows)


def delete_rows(table: str, where: Values) -> ChangedRows:
    """Deletes the rows of a table whose columns have the values of `where`."""
    step = current_step()
    return ChangedRows(
        table=table, rows=_rows().delete_rows(step.idempotency_key, step.task_id, table, where)
    )


def _rows() -> ModuleType:
    try:
        from ...resources import row_change
    except ImportError:
        raise NotApplied("this worker has no SQLAlchemy: pip install 'counterstep[sql]'") from None
    return row_change
