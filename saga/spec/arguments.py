"""What the arguments of a tool call come to, so that a person, a rule and the tool see the same."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import Fault
from ..expressions.json_values import whole
from ..history_format import ENGINE
from .json_schema import check_input, check_part, join, resolve

_DEEPEST = 20
"""Levels of objects whose defaults are filled in."""

_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""The keywords of JSON Schema under which names stand, and not keywords."""


def exact_faults(schema: Mapping[str, Any], arguments: Any) -> list[Fault]:
    """Says what is wrong with arguments when nothing is read generously.

    What is called may take text for a number, and a field by either of its names. A rule that reads the
    arguments would see something else then than what is done, so neither is allowed where a rule decides.

    Args:
        schema: JSON Schema of the arguments, by name.
        arguments: What the call is to be made with.
    """
    faults = [Fault(where, "is not a finite number") for where in _not_finite(arguments, "arguments")]
    return faults or check_input(_closed(schema), arguments, "arguments")


def completed(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns arguments with the defaults of those that are left out, as far as the schema tells them."""
    closed = _closed(schema)
    return dict(_filled(closed, closed, arguments, 0))


def canonical(value: Any) -> str:
    """Writes a JSON value in one way only: keys in order, and whole numbers without a fraction.

    RFC 8785 would do the same, but refuses whole numbers of more than 53 bits, which ids often have.
    """
    return json.dumps(one_kind_of_number(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def is_same(left: Any, right: Any, engine: int = ENGINE) -> bool:
    """Says whether two JSON values are the same: 1 is 1.0, and neither is true.

    Args:
        left: One of them.
        right: The other one.
        engine: By which rules the task is run, see `ENGINE`.
    """
    return bool(left == right) if engine < 6 else canonical(left) == canonical(right)


def within(shown: Any, value: Any) -> bool:
    """Says whether a value stays within one that was shown: its numbers are not larger, the rest is equal."""
    if _is_number(shown) and _is_number(value):
        return bool(0 <= value <= shown or value == shown)
    if isinstance(shown, Mapping) and isinstance(value, Mapping):
        return shown.keys() == value.keys() and all(within(shown[key], value[key]) for key in shown)
    if isinstance(shown, list) and isinstance(value, list):
        return len(shown) == len(value) and all(map(within, shown, value))
    return type(shown) is type(value) and bool(shown == value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def one_kind_of_number(value: Any) -> Any:
    """Returns a JSON value whose whole numbers have no fraction."""
    if isinstance(value, Mapping):
        return {key: one_kind_of_number(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [one_kind_of_number(part) for part in value]
    return whole(value)


def _not_finite(value: Any, path: str) -> Iterator[str]:
    """Yields where a number is infinite, or none at all: compared with a bound it would be within it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _not_finite(part, join(path, [key]))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _not_finite(part, join(path, [index]))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path


def _closed(schema: Any) -> Any:
    """Returns a schema whose objects take no fields but those that they list, unless it says otherwise."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: _closed_part(key, part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), Mapping) and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed


def _closed_part(key: str, part: Any) -> Any:
    if key in ("const", "enum", "default", "examples"):
        return part
    if key in _BY_NAME and isinstance(part, Mapping):
        return {name: _closed(inner) for name, inner in part.items()}  # a field may be called as a keyword is
    return _closed(part)


def _filled(root: Mapping[str, Any], part: Any, value: Any, depth: int) -> Any:
    if not isinstance(part, Mapping) or depth > _DEEPEST:
        return value
    schema = resolve({"$defs": root.get("$defs", {}), **part})
    for one in schema.get("allOf", ()):
        value = _filled(root, one, value, depth + 1)
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        fitting = (one for one in choices or () if not check_part(root, one, value, ""))
        value = _filled(root, next(fitting, None), value, depth + 1)
    if isinstance(value, Sequence) and not isinstance(value, str):
        first = schema.get("prefixItems", ())
        return [
            _filled(root, first[at] if at < len(first) else schema.get("items"), item, depth + 1)
            for at, item in enumerate(value)
        ]
    if not isinstance(value, Mapping):
        return value
    properties = schema.get("properties", {})
    defaults = {
        name: field["default"]
        for name, field in properties.items()
        if isinstance(field, Mapping) and "default" in field
    }
    others = schema.get("additionalProperties")
    return {
        name: _filled(root, properties.get(name, others), inner, depth + 1)
        for name, inner in {**defaults, **value}.items()
    }
