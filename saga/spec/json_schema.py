"""JSON Schema: checks values against schemas, and schemas themselves. Nothing is ever fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

import jsonschema
from jsonschema.exceptions import UnknownType, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ..errors import Fault
from ..names import nearest

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_HIDES_FIELDS = (
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "patternProperties",
    "dependentSchemas",
)
_NOTES = (
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "deprecated",
    "examples",
    "readOnly",
    "writeOnly",
    "then",
    "else",
    "minContains",
    "maxContains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "discriminator",
    "nullable",
)
"""Keywords that check nothing by themselves."""

_VALUES = ("const", "enum", "default", "examples")
_UNUSABLE = (Unresolvable, UnknownType, RecursionError, ArithmeticError, re.error)


def check_input(schema: Mapping[str, Any], value: Any, path: str = "input") -> list[Fault]:
    """Checks a value against a JSON Schema.

    Args:
        schema: JSON Schema; draft 2020-12 where it names no other.
        value: A JSON value.
        path: What messages call the value.

    Returns:
        Every fault, sorted by path; a schema that cannot be used is a fault too.
    """
    return check_part(schema, schema, value, path)


def in_short(faults: Iterable[object]) -> str:
    """Tells the first five of some faults in one line."""
    return "; ".join(str(fault) for fault in islice(faults, 5))


def check_part(root: Mapping[str, Any], part: Any, value: Any, path: str) -> list[Fault]:
    """Checks a value against a schema that stands inside another; returns what `check_input` returns."""
    try:
        errors = list(_validator(root).evolve(schema=part).iter_errors(value))
    except _UNUSABLE as error:
        return [Fault(path, f"cannot be checked, because its schema cannot be used: {_why_unusable(error)}")]
    faults = [_fault(error, path) for error in sorted(errors, key=_place)]
    return list(dict.fromkeys(faults))


def check_schema(schema: Mapping[str, Any], path: str) -> list[Fault]:
    """Checks a JSON Schema itself.

    Args:
        schema: What should be a JSON Schema.
        path: What messages call it.

    Returns:
        Every fault: keywords with wrong values, references to what is not there, broken patterns.
    """
    if not isinstance(schema.get("$schema", ""), str):
        return [Fault(f"{path}.$schema", "must be text")]
    rules = type(_validator(schema))
    found: dict[str, Fault] = {}
    for error in sorted(rules(rules.META_SCHEMA).iter_errors(schema), key=_place):
        where = join(path, error.absolute_path)
        found.setdefault(where, Fault(where, f"is not a JSON Schema: {_schema_message(error)}"))
    if found:
        return list(found.values())
    return list(_broken_parts(schema, schema, path))


def misspelt_keywords(schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """Yields keywords that are none, though nearly, and schemas without any; both are allowed as notes.

    Args:
        schema: A JSON Schema that somebody has written for a spec.
        path: What messages call it.
    """
    known = {*type(_validator(schema)).VALIDATORS, *_NOTES}
    if schema and not known.intersection(schema):
        yield Fault(
            path, "has no keyword of JSON Schema; fields stand under properties: {NAME: {type: string}}"
        )
    for name in schema:
        near = [] if name in known or name.startswith("x-") else get_close_matches(name, known, cutoff=0.8)
        if near:
            yield Fault(f"{path}.{name}", f"is no keyword of JSON Schema; did you mean {near[0]!r}?")
    fields = schema.get("properties", {})
    for inner, where in (
        *((fields[name], f"properties.{name}") for name in fields),
        (schema.get("items"), "items"),
    ):
        if isinstance(inner, Mapping):
            yield from misspelt_keywords(inner, f"{path}.{where}")


def fields_of(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the only fields that objects of a schema have, or None where there may be others.

    A schema that lists properties and says nothing of others is taken at its word: what it does not list is
    a typing error far more often than not. ``additionalProperties: true`` says otherwise.
    """
    resolved = resolve(schema)
    if any(key in resolved for key in _HIDES_FIELDS):
        return None
    others = resolved.get("additionalProperties")
    properties = resolved.get("properties")
    if not isinstance(properties, Mapping):
        return {} if others is False else None
    return properties if others is False or (others is None and properties) else None


def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what a schema's own ``$ref`` to its ``$defs`` stands for, else the schema."""
    target = schema.get("$ref")
    definitions = schema.get("$defs")
    if isinstance(target, str) and target.startswith("#/$defs/") and isinstance(definitions, Mapping):
        found = definitions.get(target.removeprefix("#/$defs/"))
        return found if isinstance(found, Mapping) else {}
    return schema


def as_field(
    schema: Mapping[str, Any], field: str, beside: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Returns the schema of an object that has a value as one of its fields, and no fields but those given.

    Args:
        schema: JSON Schema of the value.
        field: The name of its field.
        beside: JSON Schemas of the other fields, by name.
    """
    definitions = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in definitions}
    fields = {field: _moved(inner, field), **(beside or {})}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
        **_moved(definitions, field),
    }


def join(path: str, parts: Iterable[Any]) -> str:
    """Writes a path, e.g. ``steps[2].input.sku``."""
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else f"{path}.{part}" if path else str(part)
    return path


def _moved(part: Any, field: str) -> Any:
    """Writes references to the whole schema as references to the field in which it stands now."""
    if isinstance(part, list):
        return [_moved(item, field) for item in part]
    if not isinstance(part, Mapping):
        return part
    moved = {key: value if key in _VALUES else _moved(value, field) for key, value in part.items()}
    reference = part.get("$ref")
    if isinstance(reference, str) and re.fullmatch(r"#(/(?!\$defs/|definitions/).*)?", reference):
        moved["$ref"] = f"#/properties/{field}{reference[1:]}"
    return moved


def _validator(schema: Mapping[str, Any]) -> Validator:
    # With an empty registry; the library's own would fetch what it does not know.
    rules = validator_for(schema, default=jsonschema.Draft202012Validator)
    return rules(schema, registry=Registry())


def _fault(error: jsonschema.ValidationError, path: str) -> Fault:
    if error.validator in ("anyOf", "oneOf"):
        if all(inner.validator == "type" and not inner.relative_path for inner in error.context or ()):
            types = dict.fromkeys(str(inner.validator_value) for inner in error.context or ())
            return Fault(
                join(path, error.absolute_path), f"{_short(error.instance)} is not {' or '.join(types)}"
            )
        error = best_match([error]) or error
    return Fault(join(path, error.absolute_path), _message(error))


def _message(error: jsonschema.ValidationError) -> str:
    if error.validator == "required":
        return error.message.replace("is a required property", "is missing")
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        schema = error.schema if isinstance(error.schema, Mapping) else {}
        known = schema.get("properties", {})
        extra = sorted(set(map(str, error.instance)) - set(known))
        if extra and schema.get("additionalProperties") is False:
            return "; ".join(f"there is no {name!r} here{nearest(name, known)}" for name in extra)
    shown = repr(error.instance)
    message = error.message.replace(shown, _short(error.instance))
    return message if len(message) <= 300 else f"{message[:297]}..."


def _schema_message(error: jsonschema.ValidationError) -> str:
    if error.absolute_path and error.absolute_path[-1] == "type" and isinstance(error.instance, str):
        return f"{error.instance!r} is not a type{nearest(error.instance, _TYPES)}"
    return _message(error)


def _broken_parts(part: Any, root: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """Yields what the meta-schema cannot see: references and patterns that lead nowhere."""
    if isinstance(part, list):
        for index, item in enumerate(part):
            yield from _broken_parts(item, root, f"{path}[{index}]")
    if not isinstance(part, Mapping):
        return
    reference, pattern = part.get("$ref"), part.get("pattern")
    if isinstance(reference, str) and "$id" not in root and not _leads_somewhere(reference, root):
        yield Fault(f"{path}.$ref", f"{reference!r} leads nowhere; a schema may refer to its own $defs only")
    patterns = [pattern] if isinstance(pattern, str) else []
    if isinstance(part.get("patternProperties"), Mapping):
        patterns += part["patternProperties"]
    for text in patterns:
        try:
            re.compile(text)
        except re.error as error:
            yield Fault(path, f"{text!r} is not a regular expression: {error}")
    for key, value in part.items():
        if key not in ("const", "enum", "default", "examples"):
            yield from _broken_parts(value, root, f"{path}.{key}")


def _leads_somewhere(reference: str, root: Mapping[str, Any]) -> bool:
    resource = DRAFT202012.create_resource(root)
    try:
        Registry().resolver_with_root(resource).lookup(reference)
    except Unresolvable:
        return False
    return True


def _why_unusable(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it refers to itself without end"
    if isinstance(error, UnknownType):
        return f"there is no type {error.type!r}"
    return str(error).split("\n", 1)[0][:200]


def _place(error: jsonschema.ValidationError) -> list[tuple[bool, int, str]]:
    return [
        (False, part, "") if isinstance(part, int) else (True, 0, str(part)) for part in error.absolute_path
    ]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
