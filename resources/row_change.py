"""Changes of rows, and how they are taken back: only where they are as the change has left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Inspector,
    Table,
    and_,
    delete,
    insert,
    inspect,
    select,
    update,
)

from ..saga.errors import NotApplied
from .changed_since import changed_since
from .database import allowed_table, database, once, take_back
from .row_values import Row, pack, read_values, shown, unpack
from .stock_settings import Verb

MOST_ROWS: Final = 1000
"""Rows that one call reads or changes."""

_LOSES_OTHERS: Final = ("CASCADE", "SET NULL", "SET DEFAULT")


def select_rows(name: str, where: Mapping[str, Any], limit: int) -> list[Row]:
    """Reads rows of a table."""
    with database().connect().execution_options(reads=True) as connection:
        table = allowed_table(connection, name, "select")
        query = select(table).where(_matching(table, where)).order_by(*table.primary_key.columns).limit(limit)
        return [shown(dict(row)) for row in connection.execute(query).mappings()]


def insert_row(key: str, task_id: str, name: str, values: Mapping[str, Any]) -> list[Row]:
    """Adds a row; returns it."""

    def change(connection: Connection) -> Any:
        table = allowed_table(connection, name, "insert")
        made = connection.execute(insert(table).values(**read_values(table, values))).inserted_primary_key
        after = _row(connection, table, tuple(made or ()))
        if after is None:
            raise NotApplied(f"the row in {name} cannot be found again by its primary key")
        return _record(name, [(None, after)])

    return _shown(once(key, task_id, change), "after")


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
        given = read_values(table, values)
        pairs: list[tuple[Row | None, Row | None]] = []
        for before in _locked(connection, table, name, where):
            this = _key_of(table, before)
            connection.execute(update(table).where(_has_key(table, this)).values(**given))
            pairs.append((before, _row(connection, table, this)))
        return _record(name, pairs)

    return _shown(once(key, task_id, change), "after")


def delete_rows(key: str, task_id: str, name: str, where: Mapping[str, Any]) -> list[Row]:
    """Deletes the rows that match; returns them as they were."""

    def change(connection: Connection) -> Any:
        table = allowed_table(connection, name, "delete")
        _expect_alone(connection, table)
        rows = _locked(connection, table, name, where)
        for before in rows:
            connection.execute(delete(table).where(_has_key(table, _key_of(table, before))))
        return _record(name, [(before, None) for before in rows])

    return _shown(once(key, task_id, change), "before")


def restore_rows(key: str, task_id: str, verb: Verb) -> None:
    """Puts the rows back that a call has changed.

    Raises:
        ApplicationError: Somebody else has changed one of them since; nothing was put back.
    """

    def back(connection: Connection, record: Any) -> None:
        table = allowed_table(connection, record["table"], verb)
        for pair in reversed(record["rows"]):
            before = None if pair["before"] is None else unpack(pair["before"])
            after = None if pair["after"] is None else unpack(pair["after"])
            _restore(connection, table, before, after)

    take_back(key, task_id, back)


def _restore(connection: Connection, table: Table, before: Row | None, after: Row | None) -> None:
    this = _key_of(table, before or after or {})
    now = _row(connection, table, this)
    if _same(now, before):
        return
    if not _same(now, after):
        what = f"row {', '.join(map(str, this))} of {table.fullname}"
        raise changed_since(f"{what} was changed by somebody else since; look at it, and say what counts")
    if before is None:
        connection.execute(delete(table).where(_has_key(table, this)))
    elif after is None:
        connection.execute(insert(table).values(**_written(table, before)))
    else:
        changed = {name: value for name, value in _written(table, before).items() if value != after[name]}
        if changed:
            connection.execute(update(table).where(_has_key(table, this)).values(**changed))


def _written(table: Table, row: Row) -> Row:
    """Leaves out what the database computes itself."""
    return {name: value for name, value in row.items() if table.columns[name].computed is None}


def _locked(connection: Connection, table: Table, name: str, where: Mapping[str, Any]) -> list[Row]:
    if not where:
        raise NotApplied(f"where is empty: that would be all rows of {name}")
    query = select(table).where(_matching(table, where)).order_by(*table.primary_key.columns)
    rows = connection.execute(query.limit(MOST_ROWS + 1).with_for_update()).mappings().all()
    if len(rows) > MOST_ROWS:
        raise NotApplied(f"more than {MOST_ROWS} rows of {name} match, which is the most for one call")
    return [dict(row) for row in rows]


def _expect_alone(connection: Connection, table: Table) -> None:
    """Refuses deletions that would change rows of other tables, or could not be taken back."""
    for column in table.columns:
        if column.identity is not None and column.identity.always:
            raise NotApplied(
                f"{table.fullname}.{column.name} is always generated, so no row could be put back"
            )
    inspector = inspect(connection)
    for other in inspector.get_table_names(schema=table.schema):
        for action in _on_delete(connection, inspector, other, table):
            if action in _LOSES_OTHERS:
                raise NotApplied(
                    f"deleting from {table.fullname} changes rows of {other} as well ({action}), "
                    "which could not be put back; delete those first"
                )


def _on_delete(connection: Connection, inspector: Inspector, other: str, table: Table) -> list[str]:
    """Returns what becomes of the rows of another table when rows of a table that they refer to go."""
    if (
        connection.dialect.name == "sqlite"
    ):  # of references in a column's own line the inspector knows too little
        quoted = other.replace('"', '""')
        listed = connection.exec_driver_sql(f'pragma foreign_key_list("{quoted}")').mappings()
        return [row["on_delete"] for row in listed if row["table"].lower() == table.name.lower()]
    references = inspector.get_foreign_keys(other, schema=table.schema)
    return [
        str(reference.get("options", {}).get("ondelete") or "").upper()
        for reference in references
        if reference["referred_table"] == table.name
    ]


def _matching(table: Table, where: Mapping[str, Any]) -> ColumnElement[bool]:
    values = read_values(table, where)
    return and_(True, *(table.columns[name] == value for name, value in values.items()))


def _has_key(table: Table, key: Sequence[Any]) -> ColumnElement[bool]:
    columns = zip(table.primary_key.columns, key, strict=True)
    return and_(*(column == value for column, value in columns))


def _key_of(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key.columns)


def _row(connection: Connection, table: Table, key: Sequence[Any]) -> Row | None:
    found = connection.execute(select(table).where(_has_key(table, key)).with_for_update()).mappings().first()
    return None if found is None else dict(found)


def _same(one: Row | None, other: Row | None) -> bool:
    return one == other if one is None or other is None else pack(one) == pack(other)


def _record(name: str, pairs: Sequence[tuple[Row | None, Row | None]]) -> Any:
    packed = [[None if row is None else pack(row) for row in pair] for pair in pairs]
    return {"table": name, "rows": [{"before": before, "after": after} for before, after in packed]}


def _shown(record: Any, part: str) -> list[Row]:
    return [shown(unpack(pair[part])) for pair in record["rows"] if pair[part] is not None]
