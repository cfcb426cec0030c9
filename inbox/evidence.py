"""What a person is to look at, prepared for a page: rows of a table, and fields of a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from .money import as_money
from .visible_text import is_plain, visible

_DEEPEST: Final = 4
"""Tables inside of tables; what is deeper is shown as JSON."""

_LONG: Final = 80
"""Characters; a longer text has a field of several lines."""

FieldKind = Literal["text", "number", "boolean", "json"]


@dataclass(frozen=True, slots=True)
class Row:
    """One value with its name.

    Attributes:
        name: Its name, or its place in a list.
        text: The exact value, if it is not a table.
        money: The same for people, where it is money.
        rows: What is inside of it.
        is_code: Whether `text` is JSON.
    """

    name: str
    text: str = ""
    money: str | None = None
    rows: tuple[Row, ...] = ()
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form in which somebody edits a value.

    Attributes:
        name: The name of the argument; empty for the whole value.
        kind: How its text is read.
        text: The text that stands in it.
        is_long: Whether it needs several lines.
        options: What can be chosen; empty where anything can be written.
    """

    name: str
    kind: FieldKind
    text: str
    is_long: bool = False
    options: tuple[str, ...] = ()


def rows_of(value: Any, depth: int = 0) -> tuple[Row, ...]:
    """Makes a table of an object or a list; of anything else, one row without a name."""
    if isinstance(value, Mapping) and value:
        return tuple(_row(str(name), part, value, depth) for name, part in value.items())
    if isinstance(value, list) and value:
        return tuple(_row(str(place), part, {}, depth) for place, part in enumerate(value, 1))
    return (_row("", value, {}, depth),)


def _row(name: str, value: Any, beside: Mapping[str, Any], depth: int) -> Row:
    shown = visible(name)
    if isinstance(value, str):
        return Row(shown, visible(value) if value else '""', is_code=not value)
    if isinstance(value, Mapping | list) and value and depth < _DEEPEST:
        return Row(shown, rows=rows_of(value, depth + 1))
    is_nested = isinstance(value, Mapping | list)
    text = visible(json.dumps(value, ensure_ascii=False, indent=2 if is_nested else None))
    return Row(shown, text, as_money(name, value, beside), is_code=True)


def fields_of(value: Any) -> tuple[FormField, ...]:
    """Makes the fields in which somebody edits a value: one for each argument, or one for all."""
    if isinstance(value, Mapping) and value and all(name and is_plain(name) for name in value):
        return tuple(_field(name, part) for name, part in value.items())
    return (_json_field("", value),)


def _field(name: str, value: Any) -> FormField:
    if isinstance(value, bool):
        return FormField(name, "boolean", "true" if value else "false")
    if isinstance(value, int | float):
        return FormField(name, "number", json.dumps(value))
    if isinstance(value, str) and is_plain(value):
        return FormField(name, "text", value, is_long=len(value) > _LONG or "\n" in value)
    return _json_field(name, value)


def _json_field(name: str, value: Any) -> FormField:
    # What cannot be seen is written as an escape, and so comes back as it was.
    plain = is_plain(json.dumps(value, ensure_ascii=False))
    return FormField(name, "json", json.dumps(value, ensure_ascii=not plain, indent=2), is_long=True)


def read_field(field: FormField, text: str) -> Any:
    """Reads what somebody has written into a field.

    Raises:
        ValueError: It is not JSON of that kind; the message is a sentence.
    """
    text = text.replace("\r\n", "\n")
    if field.kind == "text":
        return text
    what = f"“{visible(field.name)}”" if field.name else "The value"
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        wanted = {"number": "a number", "boolean": "true or false"}.get(field.kind, "JSON")
        raise ValueError(f"{what} has to be {wanted}.") from None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if field.kind == "number" and not is_number:
        raise ValueError(f"{what} has to be a number.")
    if field.kind == "boolean" and not isinstance(value, bool):
        raise ValueError(f"{what} has to be true or false.")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
