"""JSON Schemas as model providers take them: an answer's type, and the parameters of tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...saga.spec.json_schema import as_field, check_input

_FIELD = "answer"
"""The only field of the object around an answer that is not an object."""

# What OpenAI's strict mode understands; a schema that says more is sent without it.
_STRICT_KEYWORDS = {
    "type", "properties", "required", "additionalProperties", "items", "anyOf", "$defs", "definitions",
    "enum", "const", "description", "title", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
}  # fmt: skip
_STRICT_FORMATS = {
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
}  # fmt: skip
_NO_STRICT_PATTERN = re.compile(r"\(\?(?!:)|\\[1-9AZzGkpPQE]|[*+?}]\+")
"""Lookaround, named groups, flags, back references, anchors and classes that not all engines know."""
_MOST_FIELDS = 5000
_MOST_VALUES = 1000
_MOST_LETTERS = 120_000
"""Of all names and values together."""
_DEEPEST = 10
_DEEPEST_ROOT = 5
"""How many choices inside of each other are looked into for the fields of a tool."""

_ANNOTATIONS = {"default", "examples", "title"}
_VALUES = {"const", "enum", "default", "examples"}
_NAMED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_NOT_AT_THE_ROOT = {"anyOf", "oneOf", "allOf", "not", "enum", "const", "if"}
_BESIDE_THEM = {"then", "else", "$ref"}


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """How an answer of some type is asked for: as an object, which is all that providers take.

    Attributes:
        schema: The type of the answer.
        sent: What is sent in its place, an object.
        wrapped: Whether the answer is a field of that object, and not the object itself.
    """

    schema: Mapping[str, Any]
    sent: dict[str, Any]
    wrapped: bool

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> AnswerForm:
        """Finds the form for a type."""
        root = _root(schema)
        if root.get("type") == "object" and not root.keys() & _NOT_AT_THE_ROOT:
            return cls(schema, _completed(root), wrapped=False)
        sent = as_field(schema, _FIELD)
        return cls(schema, _completed(sent), wrapped=True)

    def read(self, value: Any) -> tuple[Any, list[str]]:
        """Takes the answer out of the object around it; some models leave that away.

        Returns:
            The answer and what is wrong with it, nothing where it is of its type.
        """
        readings = [value]
        if self.wrapped and isinstance(value, dict) and value.keys() == {_FIELD}:
            readings.insert(0, value[_FIELD])
        faults = [check_input(self.schema, reading, "answer") for reading in readings]
        for reading, found in zip(readings, faults, strict=True):
            if not found:
                return reading, []
        return None, [str(fault) for fault in faults[0]]


def tool_parameters(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a tool as every provider takes them: an object, and no choice at its root.

    What is sent may allow more than the type; the arguments are checked against the type itself.
    """
    completed: dict[str, Any] = _completed(_as_one(_root(schema)))
    # In an order that stays, as providers cache what requests begin with.
    whole = {"type": "object", "properties": {}, **completed}
    return {**whole, "type": "object"}


def _as_one(root: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Names all fields that an object may have by one of its choices, and as needed those of every choice."""
    if not root.keys() & (_NOT_AT_THE_ROOT | _BESIDE_THEM):
        return dict(root)
    known = {key: root[key] for key in ("$defs", "definitions") if key in root}
    fields, needed = dict(root.get("properties", {})), set(root.get("required", ()))
    for key in ("allOf", "anyOf", "oneOf") if depth < _DEEPEST_ROOT else ():
        parts = [_root({**known, **part}) for part in root.get(key, ()) if isinstance(part, Mapping)]
        choices = [_as_one(part, depth + 1) for part in parts if part.get("type", "object") == "object"]
        for choice in choices:
            for name, part in choice.get("properties", {}).items():
                fields[name] = part if fields.get(name, part) == part else {"anyOf": [fields[name], part]}
        needs = [set(choice.get("required", ())) for choice in choices] or [set()]
        needed |= set.union(*needs) if key == "allOf" else set.intersection(*needs)
    dropped = _NOT_AT_THE_ROOT | _BESIDE_THEM | {"additionalProperties"}
    kept = {key: value for key, value in root.items() if key not in dropped}
    return {**kept, "properties": fields, "required": [name for name in fields if name in needed]}


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Narrows a schema to the form that strict structured output wants.

    The result allows no other fields, and fields that may be null become required. Whatever satisfies it
    therefore satisfies the original too.

    Args:
        schema: The JSON Schema of an answer.

    Returns:
        The narrowed copy; None if the schema cannot be narrowed, e.g. because it allows any key or has fields
        that may be left out but must not be null.
    """
    if schema.get("type") != "object" or schema.keys() & _NOT_AT_THE_ROOT:
        return None
    parts = list(_parts(schema))
    fields = sum(len(part.get("properties", ())) for part in parts)
    values = sum(len(part.get("enum", ())) for part in parts)
    if fields > _MOST_FIELDS or values > _MOST_VALUES or sum(map(_letters, parts)) > _MOST_LETTERS:
        return None
    try:
        return _narrowed(schema, 1)
    except _NotStrict:
        return None


def _letters(part: Mapping[str, Any]) -> int:
    said = [*part.get("enum", ()), *[name for key in _NAMED for name in part.get(key, ())]]
    return sum(len(str(value)) for value in said)


class _NotStrict(Exception):
    """Raised when a schema says what strict mode cannot."""


def _narrowed(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        raise _NotStrict
    rest = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if "$ref" in rest:
        if rest.keys() - {"$ref", "description"}:
            raise _NotStrict
        return {"$ref": rest["$ref"]}
    if not rest or rest.keys() - _STRICT_KEYWORDS:
        raise _NotStrict
    if rest.get("format", "date") not in _STRICT_FORMATS or not _is_plain(rest.get("pattern", "")):
        raise _NotStrict
    for key in ("$defs", "definitions"):
        if key in rest:
            rest[key] = {name: _narrowed(part, depth) for name, part in rest[key].items()}
    if "anyOf" in rest:
        rest["anyOf"] = [_narrowed(part, depth) for part in rest["anyOf"]]
    if "items" in rest:
        rest["items"] = _narrowed(rest["items"], depth + 1)
    kinds = _kinds(rest)
    if ("array" in kinds and "items" not in rest) or not (kinds or "anyOf" in rest):
        raise _NotStrict
    if "object" in kinds:
        properties, required = rest.get("properties"), rest.get("required", ())
        if not properties or rest.get("additionalProperties", False) is not False:
            raise _NotStrict
        if not properties.keys() >= set(required):
            raise _NotStrict
        if not all(name in required or _may_be_null(part) for name, part in properties.items()):
            raise _NotStrict
        rest["properties"] = {name: _narrowed(part, depth + 1) for name, part in rest["properties"].items()}
        rest |= {"required": list(rest["properties"]), "additionalProperties": False}
    return rest


def _is_plain(pattern: Any) -> bool:
    return isinstance(pattern, str) and not _NO_STRICT_PATTERN.search(pattern)


def _may_be_null(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    return "null" in _kinds(schema) or any(_may_be_null(part) for part in schema.get("anyOf", ()))


def _kinds(schema: Mapping[str, Any]) -> Sequence[str]:
    kind = schema.get("type", ())
    return [kind] if isinstance(kind, str) else kind


def _root(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a schema whose root is not a reference any more, where it refers to its own definitions."""
    root = dict(schema)
    seen: set[str] = set()
    while isinstance(reference := root.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        _, _, place = reference.partition("#/")
        group, _, name = place.partition("/")
        name = name.replace("~1", "/").replace("~0", "~")
        definitions = schema.get(group)
        found = definitions.get(name) if isinstance(definitions, Mapping) else None
        if not isinstance(found, Mapping):
            break
        root = {**found, **{key: value for key, value in root.items() if key != "$ref"}}
    return root


def _completed(part: Any) -> Any:
    """Says of every list that says nothing of its items that they may be anything: OpenAI wants it said.

    It takes no ``true`` for what may be anything, either.
    """
    if not isinstance(part, Mapping):
        return part
    done: dict[str, Any] = {}
    for key, value in part.items():
        if key in _VALUES:
            done[key] = value
        elif key in _NAMED and isinstance(value, Mapping):
            done[key] = {name: {} if inner is True else _completed(inner) for name, inner in value.items()}
        elif key == "items" and value is True:
            done[key] = {}
        elif isinstance(value, list):
            done[key] = [_completed(inner) for inner in value]
        else:
            done[key] = _completed(value)
    if "array" in _kinds(part) and "items" not in part:
        done["items"] = {}
    return _without_places(done)


def _without_places(array: dict[str, Any]) -> dict[str, Any]:
    """Says of a tuple what any item may be, and their order in words: few providers know `prefixItems`.

    What is sent allows more than the type; the answer is checked against the type itself.
    """
    if isinstance(array.get("items"), list):  # as drafts before 2020-12 have it
        kept = {key: value for key, value in array.items() if key not in ("items", "additionalItems")}
        array = {**kept, "prefixItems": array["items"], "items": array.get("additionalItems", {})}
    places, more = array.get("prefixItems"), array.get("items")
    if not isinstance(places, list) or not places or not all(isinstance(place, dict) for place in places):
        return array
    most = len(places) if more is False else array.get("maxItems")
    if most is None or most > len(places):
        return array
    kinds = [kind for number, kind in enumerate(places) if kind not in places[:number]]
    sent = {key: value for key, value in array.items() if key != "prefixItems"}
    sent |= {"items": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}, "maxItems": most}
    if len(kinds) > 1:
        order = ", ".join(_called(place) for place in places)
        sent["description"] = f"{array.get('description', '')} In this order: {order}.".strip()
    return sent


def _called(place: Mapping[str, Any]) -> str:
    reference = str(place.get("$ref", "any value")).rpartition("/")[2]
    return str(place.get("title") or place.get("type") or reference)


def _parts(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        yield part
        for key, value in part.items():
            inner = value.values() if key in _NAMED and isinstance(value, Mapping) else [value]
            for each in inner if key not in _VALUES else ():
                for one in each if isinstance(each, list) else [each]:
                    yield from _parts(one)


def response_format(name: str, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    """Returns the `response_format` that asks for an answer.

    Args:
        name: What the provider calls it.
        schema: JSON Schema of the answer.
        strict: Whether the provider holds it strictly, where it can be written so.
    """
    sent = AnswerForm.of(schema).sent
    held = strict_schema(sent) if strict else None
    described = {"name": name, "schema": held or sent, "strict": held is not None}
    return {"type": "json_schema", "json_schema": described}
