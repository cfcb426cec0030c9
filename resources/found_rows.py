"""Rows as a database has them: as they are told, and as they are kept, so that an undo can put them back.

What is told are values of the columns' types. Some of these lose something: SQLite holds any value in any
column, a number of months is not a number of days, JSON has more digits than a float, and its null is not
that of the database. So what is kept is what the database itself says: in SQLite the value that is stored,
and in PostgreSQL the text of such a value.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Interval,
    Select,
    Table,
    Text,
    and_,
    cast,
    literal,
    null,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.types import NullType, UserDefinedType

from .row_values import Row, shown

_AS_TEXT = (JSON, Interval, INTERVAL, ARRAY)


class _AsTold(UserDefinedType[Any]):
    """The type of a value that the database reads as it has told it; no column's type changes it."""

    cache_ok = True


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row.

    Attributes:
        kept: Its values as they are kept, by column.
        told: Its values as JSON, for whoever has asked.
    """

    kept: Row
    told: Row


def find_rows(
    connection: Connection,
    table: Table,
    condition: ColumnElement[bool],
    *,
    limit: int | None = None,
    lock: bool = False,
) -> list[FoundRow]:
    """Finds the rows for which a condition holds, in the order of the primary key.

    Args:
        connection: To the database.
        table: The table.
        condition: Over its columns.
        limit: The most rows; None for all.
        lock: Whether others have to wait with changes of these rows, where the database can do that.
    """
    dialect, columns = connection.dialect, list(table.columns)
    # By number: a column may be named like the label of another one.
    wanted = [column.label(f"kept_{number}") for number, column in enumerate(_kept(columns, dialect))]
    if dialect.name != "sqlite":
        wanted += [column.label(f"told_{number}") for number, column in enumerate(columns)]
    query: Select[Any] = select(*wanted).where(condition).order_by(*table.primary_key.columns).limit(limit)
    found = connection.execute(query.with_for_update() if lock else query)
    return [_found(columns, list(row), dialect) for row in found]


def has_values(connection: Connection, table: Table, values: Mapping[str, Any]) -> ColumnElement[bool]:
    """Returns the condition that columns have values of their types; None is the database's null."""
    return and_(True, *(_has(connection, table.columns[name], value) for name, value in values.items()))


def _has(connection: Connection, column: Column[Any], value: Any) -> ColumnElement[bool]:
    if value is None:
        return column.is_(null())
    if connection.dialect.name == "sqlite" and isinstance(value, dt.datetime | dt.time):
        # SQLite has times as text, and each program that writes them has its own way.
        exact, short = value.isoformat(timespec="microseconds"), value.isoformat()
        ways = {way.replace("T", between) for way in (exact, short) for between in ("T", " ")}
        ways |= {way.replace("+00:00", "Z") for way in ways}
        return type_coerce(column, _AsTold()).in_([literal(way, _AsTold()) for way in sorted(ways)])
    matches: ColumnElement[bool] = column == value
    return matches


def is_row(connection: Connection, table: Table, kept: Row) -> ColumnElement[bool]:
    """Returns the condition that a row has the primary key of one that is kept."""
    columns = table.primary_key.columns
    bound = {column: as_kept(connection, column, kept[column.name]) for column in columns}
    return and_(
        *(
            column.is_(null()) if kept[column.name] is None else column == value
            for column, value in bound.items()
        )
    )


def as_kept(connection: Connection, column: Column[Any], value: Any) -> Any:
    """Returns what is written into a column so that it has the value that was kept again."""
    if value is None:
        return null()
    if _is_own(column, connection.dialect):
        return literal(value, _AsTold())
    return literal(value, column.type)


def _kept(columns: list[Column[Any]], dialect: Dialect) -> list[ColumnElement[Any]]:
    if dialect.name == "sqlite":
        return [type_coerce(column, NullType()) for column in columns]
    return [cast(column, Text) if _is_own(column, dialect) else column for column in columns]


def _is_own(column: Column[Any], dialect: Dialect) -> bool:
    """Says whether a column is kept as the database tells it."""
    return dialect.name == "sqlite" or (dialect.name == "postgresql" and isinstance(column.type, _AS_TEXT))


def _found(columns: list[Column[Any]], values: list[Any], dialect: Dialect) -> FoundRow:
    names = [column.name for column in columns]
    kept = dict(zip(names, values, strict=False))
    if dialect.name == "sqlite":
        told = {column.name: _read(column, kept[column.name], dialect) for column in columns}
    else:
        told = dict(zip(names, values[len(names) :], strict=True))
    return FoundRow(kept=kept, told=shown(told))


def _read(column: Column[Any], value: Any, dialect: Dialect) -> Any:
    """Reads a value as its column has it; SQLite may hold one there that is not of that type."""
    read = column.type.dialect_impl(dialect).result_processor(dialect, None)
    try:
        told = value if read is None else read(value)
    except (TypeError, ValueError):
        return value
    # SQLite keeps more digits than the column says, and does not round as it is told.
    return value if isinstance(told, Decimal) and float(told) != value else told
