"""What becomes of a value that is written as JSON and read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AnySet
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Secret

_JSON = (str, int, float, bool, list, dict, type(None))
_BARE = {"list": "items_schema", "set": "items_schema", "frozenset": "items_schema", "dict": "values_schema"}


def is_open(core_schema: Any) -> bool:
    """Says whether a type leaves open what some part of it is, as `Any` and a bare `list` do."""
    return any(
        part.get("type") in ("any", "function-plain") or _BARE.get(part.get("type", ""), "type") not in part
        for part in parts_of(core_schema)
        if isinstance(part.get("type"), str)
    )


def holds_secret(core_schema: Any) -> bool:
    """Says whether a type has a part that pydantic masks when it is written."""
    rest = [core_schema]
    while rest:
        part = rest.pop()
        if isinstance(part, list | tuple):
            rest += part
        elif isinstance(part, Mapping) and "serialization" in part:
            # It is written by this, whatever is within.
            rest.append(part["serialization"])
        elif isinstance(part, Mapping):
            if _masks(part.get("function")):
                return True
            rest += [inner for key, inner in part.items() if key != "metadata"]
    return False


def _masks(function: Any) -> bool:
    name = getattr(function, "__name__", "")
    return getattr(function, "__module__", "") == Secret.__module__ and name.startswith("_serialize_secret")


def difference(before: Any, after: Any, *, anything: bool, where: str = "it") -> str | None:
    """Finds what was lost between a value and the same value, written and read again.

    Private attributes are not looked at, nor is what a subclass has beyond the declared type: both are not
    part of the declared type. The values themselves are not told, since they may be confidential.

    Args:
        before: The value.
        after: What was read.
        anything: Whether the type leaves open what some part is; such a part comes back as plain JSON.
        where: What messages call it.

    Returns:
        One sentence, or None where nothing was lost.
    """
    if _is_equal(before, after) is not False:
        return None
    if isinstance(before, BaseModel) and isinstance(after, BaseModel):
        return _between_models(before, after, anything, where)
    if is_dataclass(before) and is_dataclass(after):
        names = [field.name for field in fields(after) if field.compare]
        return _between_objects(before, after, names, anything, where)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _between_mappings(before, after, anything, where)
    if _is_list(before) and _is_list(after):
        if len(before) != len(after):
            return f"{where} has {len(before)} items and comes back with {len(after)}"
        pairs = enumerate(zip(before, after, strict=True))
        return _first(difference(b, a, anything=anything, where=f"{where}[{i}]") for i, (b, a) in pairs)
    if isinstance(before, AnySet) and isinstance(after, AnySet):
        kinds = [sorted(type(item).__name__ for item in one) for one in (before, after)]
        same = len(before) == len(after) if anything else kinds[0] == kinds[1]
        return None if same else f"{where} does not come back with the same items"
    if isinstance(before, datetime) and isinstance(after, datetime) and before.tzinfo and after.tzinfo:
        same = before.timestamp() == after.timestamp()
        return None if same else f"{where} comes back as another time"
    if anything and isinstance(after, _JSON) and not isinstance(before, _JSON):
        return None
    if type(before) is type(after):
        return f"{where} comes back with another value"
    return f"{where} is a {type(before).__name__} and comes back as a {type(after).__name__}"


def _between_models(before: BaseModel, after: BaseModel, anything: bool, where: str) -> str | None:
    lost = _between_objects(before, after, list(type(after).model_fields), anything, where)
    more, again = before.__pydantic_extra__ or {}, after.__pydantic_extra__
    if lost or again is None:
        return lost
    return _between_mappings(more, again, True, where)


def _between_objects(before: Any, after: Any, names: Sequence[str], anything: bool, where: str) -> str | None:
    if not isinstance(before, type(after)):
        return f"{where} is a {type(before).__name__} and comes back as a {type(after).__name__}"
    return _first(
        difference(getattr(before, n, None), getattr(after, n, None), anything=anything, where=_at(where, n))
        for n in names
    )


def _between_mappings(
    before: Mapping[Any, Any], after: Mapping[Any, Any], anything: bool, where: str
) -> str | None:
    if len(before) != len(after):
        return f"{where} has {len(before)} entries and comes back with {len(after)}"
    if not anything and before.keys() != after.keys():
        return f"{where} does not come back with the same keys"
    return _first(
        difference(value, after[key], anything=anything, where=_at(where, str(key)))
        for key, value in before.items()
        if key in after
    )


def _at(where: str, name: str) -> str:
    return name if where == "it" else f"{where}.{name}"


def _first(found: Iterator[str | None]) -> str | None:
    return next((lost for lost in found if lost), None)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_equal(before: Any, after: Any) -> bool | None:
    """Compares two values; None where they do not say what equal means."""
    try:
        if before == after:
            return True
    except Exception:
        # What users compare with may raise anything, e.g. arrays.
        return None
    return None if "__eq__" not in _own_names(type(before)) else False


def _own_names(cls: type) -> set[str]:
    return {name for base in cls.__mro__[:-1] for name in vars(base)}


def writes_more(core_schema: Any) -> bool:
    """Says whether a value may have more fields when it is written than its type has (`SerializeAsAny`)."""
    return any(
        isinstance(write := part.get("serialization"), Mapping) and write.get("type") == "any"
        for part in parts_of(core_schema)
    )


def parts_of(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yields all parts of a core schema."""
    rest = [schema]
    while rest:
        part = rest.pop()
        if isinstance(part, Mapping):
            yield part
            rest += [inner for key, inner in part.items() if key != "metadata"]
        elif isinstance(part, list | tuple):
            rest += part
