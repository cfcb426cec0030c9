"""Changes of rows, and how they are taken back: only where they are as the change has left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import JSON, Column, ColumnElement, Connection, Table, delete, insert, null, update

from ..saga.errors import NotApplied
from .changed_since import changed_since
from .database import allowed_table, database, once, refusals, take_back
from .found_rows import FoundRow, as_kept, find_rows, has_values, is_row
from .references import references_to, refers_to
from .row_values import Row, has_offset, pack, read_values, unpack
from .stock_settings import Verb

MOST_ROWS: Final = 1000
"""Rows that one call reads or changes."""


def select_rows(name: str, where: Mapping[str, Any], limit: int) -> list[Row]:
    """Reads rows of a table.

    Raises:
        NotApplied: The worker does not allow it, or the database refuses the question.
    """
    with refusals(), database().connect().execution_options(reads=True) as connection:
        table = allowed_table(connection, name, "select")
        return [
            row.told for row in find_rows(connection, table, _matching(connection, table, where), limit=limit)
        ]


def insert_row(key: str, task_id: str, name: str, values: Mapping[str, Any]) -> list[Row]:
    """Adds a row; returns it."""

    def change(connection: Connection) -> Any:
        table = allowed_table(connection, name, "insert")
        written = _written(connection, table, read_values(table, values, connection.dialect))
        made = connection.execute(insert(table).values(written)).inserted_primary_key
        names = [column.name for column in table.primary_key.columns]
        this = has_values(connection, table, dict(zip(names, tuple(made or ()), strict=False)))
        after = find_rows(connection, table, this) if made else []
        if len(after) != 1:
            raise NotApplied(f"the row in {name} cannot be found again by its primary key")
        return _record(name, [(None, after[0])])

    return _told(once(key, task_id, change))


def update_rows(
    key: str, task_id: str, name: str, where: Mapping[str, Any], values: Mapping[str, Any]
) -> list[Row]:
    """Changes the rows that match; returns them as they are then."""

    def change(connection: Connection) -> Any:
        table = allowed_table(connection, name, "update")
        if keys := set(values) & set(table.primary_key.columns.keys()):
            raise NotApplied(f"{min(keys)!r} is part of the primary key of {name}, which stays as it is")
        if not values:
            raise NotApplied("values is empty: there is nothing to change")
        written = _written(connection, table, read_values(table, values, connection.dialect))
        for reference in references_to(connection, table):
            if reference.loses_values(set(values)):
                raise NotApplied(
                    f"changing {name} changes rows of {reference.name} as well ({reference.on_update}), "
                    "which could not be put back"
                )
        pairs: list[tuple[FoundRow | None, FoundRow | None]] = []
        for before in _locked(connection, table, name, where):
            this = is_row(connection, table, before.kept)
            connection.execute(update(table).where(this).values(written))
            after = find_rows(connection, table, this)
            pairs.append((before, after[0] if after else None))
        return _record(name, pairs)

    return _told(once(key, task_id, change))


def delete_rows(key: str, task_id: str, name: str, where: Mapping[str, Any]) -> list[Row]:
    """Deletes the rows that match; returns them as they were."""

    def change(connection: Connection) -> Any:
        table = allowed_table(connection, name, "delete")
        _expect_alone(connection, table)
        rows = _locked(connection, table, name, where)
        for before in rows:
            connection.execute(delete(table).where(is_row(connection, table, before.kept)))
        return _record(name, [(before, None) for before in rows])

    return _told(once(key, task_id, change))


def restore_rows(key: str, task_id: str, verb: Verb, *, happened: bool) -> None:
    """Puts the rows back that a call has changed.

    Args:
        key: The call's key.
        task_id: The task.
        verb: What the call has done.
        happened: Whether it is known that it has done it.

    Raises:
        ApplicationError: Somebody else has changed one of them since; nothing was put back.
    """

    def back(connection: Connection, record: Any) -> None:
        table = allowed_table(connection, record["table"], verb)
        for pair in reversed(record["rows"]):
            before = None if pair["before"] is None else unpack(pair["before"])
            after = None if pair["after"] is None else unpack(pair["after"])
            _restore(connection, table, before, after)

    take_back(key, task_id, back, happened=happened)


def _restore(connection: Connection, table: Table, before: Row | None, after: Row | None) -> None:
    known = before or after or {}
    this = is_row(connection, table, known)
    found = find_rows(connection, table, this, lock=True)
    now = found[0].kept if found else None
    if _same(now, before):
        return
    which = ", ".join(str(known[column.name]) for column in table.primary_key.columns)
    what = f"row {which} of {table.fullname}"
    if not _same(now, after):
        raise changed_since(f"{what} was changed by somebody else since; look at it, and say what counts")
    if before is None:
        for reference in references_to(connection, table):
            if reference.loses_rows and refers_to(connection, reference, table, known):
                raise changed_since(
                    f"{what} was added here, and rows of {reference.name} that refer to it would change "
                    f"or go with it ({reference.on_delete}); look at them, and say what counts"
                )
        connection.execute(delete(table).where(this))
    elif after is None:
        connection.execute(insert(table).values(_as_kept(connection, table, before)))
    else:
        changed = {
            name: value for name, value in before.items() if not _same({name: value}, {name: after[name]})
        }
        if written := _as_kept(connection, table, changed):
            connection.execute(update(table).where(this).values(written))


def _as_kept(connection: Connection, table: Table, row: Row) -> Row:
    """Returns what is written to have a row back; what the database computes itself is left out."""
    columns = {name: table.columns[name] for name in row}
    return {
        name: as_kept(connection, columns[name], value)
        for name, value in row.items()
        if columns[name].computed is None
    }


def _written(connection: Connection, table: Table, values: Row) -> Row:
    """Returns what is written for values that somebody gives: None is the database's null, also as JSON."""

    def written(column: Column[Any], value: Any) -> Any:
        if value is None and isinstance(column.type, JSON):
            return null()
        if has_offset(value) and connection.dialect.name == "sqlite":  # its type would leave the offset out
            return as_kept(connection, column, value.isoformat(timespec="microseconds").replace("T", " "))
        return value

    return {name: written(table.columns[name], value) for name, value in values.items()}


def _locked(connection: Connection, table: Table, name: str, where: Mapping[str, Any]) -> list[FoundRow]:
    if not where:
        raise NotApplied(f"where is empty: that would be all rows of {name}")
    rows = find_rows(connection, table, _matching(connection, table, where), limit=MOST_ROWS + 1, lock=True)
    if len(rows) > MOST_ROWS:
        raise NotApplied(f"more than {MOST_ROWS} rows of {name} match, which is the most for one call")
    return rows


def _expect_alone(connection: Connection, table: Table) -> None:
    """Refuses deletions that would change rows of other tables, or could not be taken back."""
    for column in table.columns:
        if column.identity is not None and column.identity.always:
            raise NotApplied(
                f"{table.fullname}.{column.name} is always generated, so no row could be put back"
            )
    for reference in references_to(connection, table):
        if reference.loses_rows:
            raise NotApplied(
                f"deleting from {table.fullname} changes rows of {reference.name} as well "
                f"({reference.on_delete}), which could not be put back; delete those first"
            )


def _matching(connection: Connection, table: Table, where: Mapping[str, Any]) -> ColumnElement[bool]:
    return has_values(connection, table, read_values(table, where, connection.dialect))


def _same(one: Row | None, other: Row | None) -> bool:
    return one == other if one is None or other is None else pack(one) == pack(other)


def _record(name: str, pairs: Sequence[tuple[FoundRow | None, FoundRow | None]]) -> Any:
    """Returns what is kept of a change; told are the rows as they are now, or as they were."""
    rows = []
    for before, after in pairs:
        kept = [None if row is None else pack(row.kept) for row in (before, after)]
        told = after or before
        rows.append({"before": kept[0], "after": kept[1], "told": None if told is None else told.told})
    return {"table": name, "rows": rows}


def _told(record: Any) -> list[Row]:
    return [row["told"] for row in record["rows"] if row["told"] is not None]
