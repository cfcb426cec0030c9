"""Turns the text of a model's answer into a value that satisfies a JSON Schema, or says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from ...saga.spec.json_schema import check_input

_FENCE = re.compile(r"^```[\w-]*\s*\n(.*?)\n?\s*```$", re.DOTALL)
_MOST_FAULTS = 5

# What OpenAI's strict mode understands; a schema that says more is sent without it.
_STRICT_KEYWORDS = {
    "type", "properties", "required", "additionalProperties", "items", "anyOf", "$defs", "definitions",
    "enum", "const", "description", "title", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
}  # fmt: skip
_ANNOTATIONS = {"default", "examples", "title"}


def parse_json(text: str) -> Any:
    """Parses JSON text strictly.

    Args:
        text: The text; a Markdown fence around it is taken off.

    Returns:
        The value.

    Raises:
        ValueError: The text is not JSON (nor are NaN and Infinity), or it is nested too deeply to be sent.
    """
    text = text.strip()
    fence = _FENCE.match(text)
    return from_json(fence.group(1) if fence else text, allow_inf_nan=False)


def parse_answer(content: str | None, schema: Mapping[str, Any] | None) -> tuple[Any, str | None]:
    """Turns the text of an answer into its value.

    Args:
        content: The text; None if the model said nothing.
        schema: The JSON Schema of the value; None if the text itself is the value.

    Returns:
        The value and None, or None and sentences that tell the model what is wrong with the text.
    """
    if not content or not content.strip():
        return None, "The answer is empty. Give the answer, or call a tool."
    if schema is None:
        return content, None
    try:
        value = parse_json(content)
    except ValueError as error:
        return None, f"The answer is not JSON ({error}). Answer with one JSON value and nothing else."
    faults = check_input(schema, value, "answer")
    if not faults:
        return value, None
    told = "; ".join(map(str, faults[:_MOST_FAULTS]))
    more = f" (and {len(faults) - _MOST_FAULTS} more)" if len(faults) > _MOST_FAULTS else ""
    return None, f"The answer does not satisfy the schema: {told}{more}. Correct all of it."


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
    try:
        return _narrowed(schema) if schema.get("type") == "object" else None
    except _NotStrict:
        return None


class _NotStrict(Exception):
    """Raised when a schema says what strict mode cannot."""


def _narrowed(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _NotStrict
    rest = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    if "$ref" in rest:
        if rest.keys() - {"$ref", "description"}:
            raise _NotStrict
        return {"$ref": rest["$ref"]}
    if not rest or rest.keys() - _STRICT_KEYWORDS:
        raise _NotStrict
    for key in ("$defs", "definitions"):
        if key in rest:
            rest[key] = {name: _narrowed(part) for name, part in rest[key].items()}
    if "anyOf" in rest:
        rest["anyOf"] = [_narrowed(part) for part in rest["anyOf"]]
    if "items" in rest:
        rest["items"] = _narrowed(rest["items"])
    if rest.get("type") == "array" and "items" not in rest:
        raise _NotStrict
    if rest.get("type") == "object":
        properties, required = rest.get("properties"), rest.get("required", ())
        if not properties or rest.get("additionalProperties", False) is not False:
            raise _NotStrict
        if not all(name in required or _may_be_null(part) for name, part in properties.items()):
            raise _NotStrict
        rest["properties"] = {name: _narrowed(part) for name, part in rest["properties"].items()}
        rest |= {"required": list(rest["properties"]), "additionalProperties": False}
    return rest


def _may_be_null(schema: Any) -> bool:
    if not isinstance(schema, Mapping):
        return False
    kind = schema.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(_may_be_null(part) for part in schema.get("anyOf", ()))
    )
