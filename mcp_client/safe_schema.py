"""Schemas of servers, without what could keep a worker busy for ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
