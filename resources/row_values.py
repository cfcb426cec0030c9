"""Values of a database's columns: read from JSON, kept for an undo without a loss, and shown as JSON."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from sqlalchemy import ARRAY, JSON, Column, Dialect, LargeBinary, Table

from ..saga.errors import NotApplied
from ..saga.names import nearest

_TAG: Final = "$type"

_WRITTEN: Final[Mapping[type, tuple[str, Callable[[Any], str]]]] = {
    Decimal: ("decimal", str),
    dt.datetime: ("datetime", lambda value: value.isoformat()),
    dt.date: ("date", lambda value: value.isoformat()),
    dt.time: ("time", lambda value: value.isoformat()),
    dt.timedelta: ("timedelta", lambda value: str(value // dt.timedelta(microseconds=1))),
    uuid.UUID: ("uuid", str),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    memoryview: ("bytes", lambda value: base64.b64encode(value).decode()),
}
_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "decimal": Decimal,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda text: dt.timedelta(microseconds=int(text)),
    "uuid": uuid.UUID,
    "bytes": base64.b64decode,
    "float": float,
}

_TAKE_OFFSETS: Final = ("sqlite", "postgresql")
"""In SQLite a time is a text, which may have one; PostgreSQL turns the time into that of the session."""

Row = dict[str, Any]


def read_values(table: Table, values: Mapping[str, Any], dialect: Dialect) -> Row:
    """Turns JSON values by column into what the columns hold.

    Raises:
        NotApplied: There is no such column, or a value does not fit.
    """
    read = {name: _read(table, name, value) for name, value in values.items()}
    if dialect.name not in _TAKE_OFFSETS:
        for name, value in read.items():
            if has_offset(value) and not getattr(table.columns[name].type, "timezone", True):
                raise NotApplied(
                    f"column {name!r} of {table.fullname} has times without an offset from UTC, and "
                    f"{values[name]!r} has one, which would be lost"
                )
    return read


def has_offset(value: Any) -> bool:
    """Says whether a value is a time that says how far it is from UTC."""
    return isinstance(value, dt.datetime | dt.time) and value.tzinfo is not None


def pack(row: Row) -> Row:
    """Turns a row into JSON that `unpack` turns back.

    Raises:
        NotApplied: A value is of a type that cannot be kept.
    """
    return {name: _pack(name, value) for name, value in row.items()}


def unpack(row: Row) -> Row:
    """Turns back what `pack` has made."""
    return {name: _unpack(value) for name, value in row.items()}


def shown(row: Row) -> Row:
    """Turns a row into plain JSON, with bytes in base64, for whoever has asked."""
    value: Row = to_jsonable_python(row, bytes_mode="base64", fallback=str)
    return {name: part if _is_finite(part) else str(part) for name, part in value.items()}


def _read(table: Table, name: str, value: Any) -> Any:
    if name not in table.columns:
        raise NotApplied(
            f"table {table.fullname} has no column {name!r}{nearest(name, table.columns.keys())}"
        )
    if value is None:
        return None
    column: Column[Any] = table.columns[name]
    if isinstance(column.type, JSON | ARRAY):
        return value
    if isinstance(column.type, LargeBinary):
        try:
            return base64.b64decode(value, validate=True)
        except (ValueError, TypeError):
            raise NotApplied(f"column {name!r} of {table.fullname} takes bytes in base64") from None
    try:
        return TypeAdapter(column.type.python_type).validate_python(value)
    except (NotImplementedError, PydanticSchemaGenerationError):
        return value  # what the type does not say, as of PostgreSQL's bits, the database does
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise NotApplied(f"column {name!r} of {table.fullname} does not take {value!r}: {problem}") from None


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _pack(name: str, value: Any) -> Any:
    if not _is_finite(value):
        return {_TAG: "float", "value": str(value)}  # JSON has no such number
    if type(value) in _WRITTEN:
        tag, write = _WRITTEN[type(value)]
        return {_TAG: tag, "value": write(value)}
    if isinstance(value, dict | list):
        try:
            return {_TAG: "json", "value": json.loads(json.dumps(value))}
        except (TypeError, ValueError):
            pass
    elif value is None or isinstance(value, bool | int | float | str):
        return value
    raise NotApplied(f"column {name!r} holds a {type(value).__name__}, which could not be put back")


def _unpack(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return value["value"] if value[_TAG] == "json" else _READ[value[_TAG]](value["value"])
