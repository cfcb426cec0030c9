"""Reads a limits file, and tells all of its faults at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..bundle.positions import located
from ..bundle.shape_faults import message_of, path_of
from ..bundle.yaml_document import json_faults, read_document, read_text
from ..saga.duration import format_duration, parse_duration
from ..saga.errors import ExpressionError, Fault, SpecError
from ..saga.expressions.expression import Path as ReadPath
from ..saga.expressions.expression import compile_expression, told_where
from ..saga.fault_texts import kind_of
from ..saga.names import nearest
from .rules import UNITS, BreakerRules, Limit, PoolRules

SHORTEST_WINDOW = timedelta(seconds=1)
LONGEST_WINDOW = timedelta(days=366)

_READ_BY_KEYS = ("task", "agent")

_MODELS = ("7", "openrouter/openai/gpt/5", "openai/gpt")
"""Names of different kinds: a key may take them apart."""

OF_AGENT = ("name", "model", "provider")
"""What keys may read of an agent: its name, its model, and the provider, which stands before the ``/``."""


def read_rules(path: Path, tools: Collection[str] | None = None) -> PoolRules:
    """Reads a limits file.

    Args:
        path: A YAML or JSON file.
        tools: The tools that the worker offers; None where nobody knows.

    Raises:
        SpecError: The file cannot be read, or has faults, each with its line and column.
    """
    text = read_text(path, "a limits file")
    document = read_document(text, str(path))
    try:
        return parse_rules(document, tools)
    except SpecError as error:
        # A list alone stands for the key `limits`.
        alone = isinstance(document, list)
        faults = [_below(fault, "limits") for fault in error.faults] if alone else error.faults
        placed = sorted(located(faults, text), key=lambda fault: (fault.line or 0, fault.column or 0))
        raise SpecError([_in_file(fault, path) for fault in placed]) from None


def parse_rules(document: Any, tools: Collection[str] | None = None) -> PoolRules:
    """Turns a document into rules.

    Args:
        document: ``{limits: [...], breakers: {...}}``, or the list of limits alone.
        tools: The tools that the worker offers; None where nobody knows.

    Raises:
        SpecError: The document has faults; the error names all of them, each with its path.
    """
    if isinstance(document, list | tuple):
        document = {"limits": document}
    if not isinstance(document, Mapping):
        message = (
            f"a limits file has the keys limits and breakers, or is a list of limits, not {kind_of(document)}"
        )
        raise SpecError([Fault("", message)])
    not_json = list(json_faults(document))
    if not_json:
        raise SpecError(not_json)
    found: dict[str, Fault] = {}
    rules = PoolRules()
    try:
        rules = PoolRules.model_validate(document)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path = path_of(details, document)
            found.setdefault(path, Fault(path, message_of(details, _model_at(details))))
    for fault in _together(document, tools):
        found.setdefault(fault.path, fault)
    if found:
        raise SpecError(list(found.values()))
    return rules


def rules_schema() -> dict[str, Any]:
    """Returns the JSON Schema of a limits file."""
    whole = PoolRules.model_json_schema()
    definitions = whole.pop("$defs")
    alone = {"type": "array", "items": {"$ref": "#/$defs/Limit"}}
    limit = definitions["Limit"]
    for unit in UNITS:
        limit["properties"][unit] = next(
            kind for kind in limit["properties"][unit]["anyOf"] if kind.get("type") != "null"
        )
    limit["oneOf"] = [{"required": [unit]} for unit in UNITS]
    whole["properties"]["breakers"].pop("default", None)
    for name, default in BreakerRules().model_dump(mode="json").items():
        definitions["BreakerRules"]["properties"][name]["default"] = default
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A limits file",
        "anyOf": [whole, alone],
        "$defs": definitions,
    }


def _model_at(error: ErrorDetails) -> type[BaseModel]:
    match error["loc"]:
        case ["limits", int(), _, *_]:
            return Limit
        case ["breakers", _, *_]:
            return BreakerRules
    return PoolRules


def _together(document: Mapping[str, Any], tools: Collection[str] | None) -> Iterator[Fault]:
    """Yields what pydantic does not see, or sees only where all values are good."""
    limits = document.get("limits")
    seen: dict[str, str] = {}
    for index, limit in enumerate(limits if isinstance(limits, list | tuple) else ()):
        path = f"limits[{index}]"
        if not isinstance(limit, Mapping):
            continue
        yield from _limit_faults(limit, path)
        name = limit.get("name")
        if isinstance(name, str) and seen.setdefault(name, path) != path:
            yield Fault(f"{path}.name", f"{name!r} is the name of {seen[name]} too; each limit has its own")
    breakers = document.get("breakers")
    named = breakers.get("tools") if isinstance(breakers, Mapping) else None
    for index, tool in enumerate(named if isinstance(named, list | tuple) else ()):
        if tools is not None and isinstance(tool, str) and tool not in tools:
            yield Fault(f"breakers.tools[{index}]", f"there is no tool {tool!r}{nearest(tool, tools)}")


def _limit_faults(limit: Mapping[str, Any], path: str) -> Iterator[Fault]:
    units = [unit for unit in UNITS if limit.get(unit) is not None]
    misspelt = any(key not in Limit.model_fields for key in limit)
    if len(units) > 1 or (not units and not misspelt):
        what = f"has {' and '.join(units)}" if units else "bounds nothing"
        yield Fault(path, f"{what}; a limit has exactly one of {', '.join(UNITS)}")
    key = limit.get("key")
    if isinstance(key, str):
        message = _key_fault(key, tasks=units == ["tasks"])
        if message is not None:
            yield Fault(f"{path}.key", message)
    try:
        per = parse_duration(limit["per"]) if isinstance(limit.get("per"), str) else None
    except ValueError:
        return  # pydantic has told it
    if per is not None and not SHORTEST_WINDOW <= per <= LONGEST_WINDOW:
        shortest, longest = map(format_duration, (SHORTEST_WINDOW, LONGEST_WINDOW))
        yield Fault(f"{path}.per", f"must be between {shortest} and {longest}, not {limit['per']}")


def _key_fault(key: str, *, tasks: bool) -> str | None:
    try:
        paths = compile_expression(key).paths
    except ExpressionError as error:
        return told_where(error, _READ_BY_KEYS)
    for read in paths:
        if read.root == "agent" and tasks:
            return "a limit of tasks is taken before any agent is asked; its key reads task only"
        if read.root not in _READ_BY_KEYS:
            return f"there is no {read.root!r} to read{nearest(read.root, _READ_BY_KEYS)}"
        unknown = _unknown_of_agent(read)
        if unknown is not None:
            return unknown
    return None if any(read.root == "task" for read in paths) else _trial(key)


def _trial(key: str) -> str | None:
    """Says why a key that reads nothing of a task gives no name for any agent."""
    limit = Limit(name="trial", key=key, tasks=0, per=SHORTEST_WINDOW)
    why = None
    for model in _MODELS:
        agent = {"name": "shop.buyer", "model": model, "provider": model.partition("/")[0]}
        try:
            limit.label({"agent": agent})
        except ExpressionError as error:
            why = str(error).removeprefix("the key of the limit 'trial' ")
        else:
            return None
    return why


def _unknown_of_agent(read: ReadPath) -> str | None:
    if read.root != "agent" or not read.parts or read.parts[0] in OF_AGENT:
        return None
    return f"agent has no {read.parts[0]!r}{nearest(str(read.parts[0]), OF_AGENT)}"


def _below(fault: Fault, above: str) -> Fault:
    return Fault(fault.path.removeprefix(above), fault.message, fault.line, fault.column)


def _in_file(fault: Fault, file: Path) -> Fault:
    path = f"{file}: {fault.path}" if fault.path else str(file)
    return Fault(path, fault.message, fault.line, fault.column)
