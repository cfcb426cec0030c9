"""Schemas of servers, without what could keep a worker busy for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

MOST_PARTS: Final = 10_000
"""Parts of a schema that one value is held against; unions of all that a service knows have hundreds."""

_NAMES = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
"""Below these, keys are names of the server's."""

_VALUES = frozenset({"const", "enum", "default", "examples"})

_OTHERS = ("additionalProperties", "unevaluatedProperties")


def safe_schema(schema: Any) -> Any:
    """Returns a schema that checks all but the patterns of texts.

    A regular expression can take years for one text, and nothing could stop it. The server that wrote them
    checks its arguments itself, and of its answers no pattern says anything that others could rely on.
    """
    if isinstance(schema, list):
        return [safe_schema(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    left_out = {"pattern", "patternProperties"}
    safe: dict[str, Any] = {}
    if "patternProperties" in schema:
        left_out.update(_OTHERS)  # what they say of other names would hold for all
        safe["additionalProperties"] = True
    for key, part in schema.items():
        if key in left_out:
            continue
        if key in _NAMES and isinstance(part, Mapping):
            safe[key] = {name: safe_schema(inner) for name, inner in part.items()}
        else:
            safe[key] = part if key in _VALUES else safe_schema(part)
    return safe


def is_endless(schema: Mapping[str, Any]) -> bool:
    """Says whether one value would be held against too many parts of a schema, as references multiply them.

    How often values inside of others multiply them, no schema says: that is a matter of the value.
    """
    counted: dict[int, int] = {}

    def count(part: Any, resolver: Any) -> int:
        """Counts the parts that a value is held against together with this one."""
        if not isinstance(part, Mapping) or id(part) in counted:
            return counted.get(id(part), 0)
        counted[id(part)] = 0  # what refers to itself just so is no schema, and told as that
        here = resolver.in_subresource(DRAFT202012.create_resource(part))
        counted[id(part)] = 1 + sum(count(*inner) for inner in _beside(part, here))
        return counted[id(part)]

    def counts(part: Any, resolver: Any) -> Iterator[int]:
        if isinstance(part, list):
            for inner in part:
                yield from counts(inner, resolver)
        if not isinstance(part, Mapping):
            return
        yield count(part, resolver)
        here = resolver.in_subresource(DRAFT202012.create_resource(part))
        for key, inner in part.items():
            if key in _NAMES and isinstance(inner, Mapping):
                yield from counts(list(inner.values()), here)
            elif key not in _VALUES:
                yield from counts(inner, here)

    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    try:
        return any(found > MOST_PARTS for found in counts(schema, resolver))
    except RecursionError:
        return True


def _beside(part: Mapping[str, Any], resolver: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the parts that the same value is held against, each with what resolves its references."""
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(part.get(key), list):
            yield from ((inner, resolver) for inner in part[key])
    if isinstance(part.get("dependentSchemas"), Mapping):
        yield from ((inner, resolver) for inner in part["dependentSchemas"].values())
    yield from ((part[key], resolver) for key in ("not", "if", "then", "else") if key in part)
    for key in ("$ref", "$dynamicRef", "$recursiveRef"):
        if isinstance(part.get(key), str):
            try:
                found = resolver.lookup(part[key])
            except Unresolvable:
                continue
            yield found.contents, found.resolver
