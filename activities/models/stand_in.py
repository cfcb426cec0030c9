"""The stand-in model, which plays an agent by reading names and schemas, without a language model.

It calls each tool that it is offered once, in order, one in each turn, and then answers. It fills parameters
and fields by name, from the task's input and the tools' results. It is deterministic, so examples and tests
run the same everywhere. It does not understand text, and it cannot judge anything: in a team it accepts, is
sure, and lets everybody speak once; a conversation that was handed over to it, it does not hand on.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from ...saga.agents.model_protocol import HANDED_OVER, TRANSFER_TO, WAYS_OUT
from .stand_in_in_team import said_in_team

_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "email": "nobody@example.com",
    "uri": "https://example.com",
}
_SURE = {"confidence": 1}
"""What a field is where nothing tells it, and its name says what is meant."""

_MISSING = object()
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class StandInReply:
    """What the stand-in does in one turn: it answers, or it calls one tool.

    Attributes:
        content: The answer; None if it calls a tool.
        tool: The name of the tool to call; None if it answers.
        arguments: The arguments of that call.
    """

    content: str | None
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None


def stand_in_reply(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    output_schema: Mapping[str, Any] | None,
) -> StandInReply:
    """Plays one turn.

    Args:
        messages: The conversation in OpenAI's format; JSON objects in user messages are the input.
        tools: The offered tools in OpenAI's format.
        output_schema: JSON Schema of the answer; None for text.

    Returns:
        A call of the first tool that has not been called, or the answer if all have been. After a tool has
        reported an error, it gives up if that is offered, and answers otherwise.
    """
    called = _called_tools(messages)
    known, failed = _read(messages, called)
    names = [tool["function"]["name"] for tool in tools]
    way_out = next((name for name in names if name in WAYS_OUT), None)
    if failed and way_out is not None:
        return StandInReply(None, way_out, {"reason": f"a tool failed: {failed}"})
    handed = any(HANDED_OVER in str(m.get("content")) for m in messages if m["role"] == "user")
    if not failed:
        for tool in tools:
            function = tool["function"]
            if function["name"] == way_out or (handed and function["name"].startswith(TRANSFER_TO)):
                continue
            if function["name"] not in called.values():
                arguments = _Filler(function.get("parameters") or {}, known).fill_root()
                return StandInReply(None, function["name"], arguments if isinstance(arguments, dict) else {})
    if output_schema is not None:
        filled = _Filler(output_schema, known).fill_root()
        if isinstance(filled, dict):
            filled |= said_in_team(known, output_schema)
        return StandInReply(json.dumps(filled))
    return StandInReply(json.dumps(known[0]) if known else "Nothing to say.")


def stand_in_call_id(messages: Sequence[Mapping[str, Any]]) -> str:
    """Returns the id of the call that the stand-in makes next."""
    return f"call_{sum(message['role'] != 'system' for message in messages)}"


def _called_tools(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns the names of the tools called so far, by call id."""
    return {
        call["id"]: call["function"]["name"]
        for message in messages
        for call in message.get("tool_calls") or ()
    }


def _read(messages: Sequence[Mapping[str, Any]], called: Mapping[str, str]) -> tuple[list[Any], str]:
    """Returns what the conversation tells, newest first, and the last error of a tool."""
    known: list[Any] = []
    failed = ""
    for message in messages:
        content = message.get("content")
        if not isinstance(content, str):
            continue
        if message["role"] == "user":
            known.extend(_objects(content))
        if message["role"] == "tool":
            result = _parsed(content)
            if isinstance(result, dict) and result.get("error"):
                failed = str(result["error"])
            name = called.get(message.get("tool_call_id") or "", "")
            known.append(result if isinstance(result, dict) else {name: result})
    return known[::-1], failed


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yields every outermost JSON object that stands anywhere in a text."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start != -1:
        try:
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _candidates(value: Any, name: str) -> Iterator[Any]:
    """Yields every value under a name, beginning with the outermost; a list yields its first item."""
    queue = deque([value])
    while queue:
        current = queue.popleft()
        if isinstance(current, list):
            queue.extend(current[:1])
        if isinstance(current, dict):
            if name in current:
                yield current[name]
            queue.extend(current.values())


class _Filler:
    """Makes a value that satisfies a schema from the values that are known."""

    def __init__(self, root: Mapping[str, Any], known: Sequence[Any]) -> None:
        self._root = root
        self._known = known
        self._definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}

    def fill_root(self) -> Any:
        return self._build(self._resolved(self._root), 0)

    def _fill(self, name: str, schema: Any, required: bool, depth: int) -> Any:
        """Returns the value of one parameter or field; `_MISSING` when it is optional and unknown."""
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        validator = Draft202012Validator({**self._definitions, **schema})
        for source in self._known:
            for candidate in _candidates(source, name):
                if validator.is_valid(candidate):
                    return candidate
        if "default" in schema:
            return schema["default"]
        if "enum" not in schema and schema.get("examples"):
            return schema["examples"][0]
        if name in _SURE and required and validator.is_valid(_SURE[name]):
            return _SURE[name]
        return self._build(schema, depth) if required else _MISSING

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """Returns the schema with its reference and its `allOf` merged in."""
        if not isinstance(schema, Mapping):
            return {}
        merged = dict(schema)
        reference = merged.pop("$ref", None)
        parts = [self._definition(reference)] if isinstance(reference, str) else []
        for part in [*parts, *merged.pop("allOf", ())]:
            base = self._resolved(part)
            properties = {**base.get("properties", {}), **merged.get("properties", {})}
            required = [*base.get("required", ()), *merged.get("required", ())]
            merged = {**base, **merged}
            if properties:
                merged |= {"properties": properties, "required": list(dict.fromkeys(required))}
        return merged

    def _definition(self, reference: str) -> Any:
        target: Any = self._root
        for key in reference.removeprefix("#").split("/")[1:]:
            target = target[key.replace("~1", "/").replace("~0", "~")]
        return target

    def _build(self, schema: dict[str, Any], depth: int) -> Any:
        """Makes the smallest value of a schema, its parts filled by name."""
        if depth > _DEEPEST:
            return None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for branches in (schema.get("anyOf"), schema.get("oneOf")):
            if branches:
                options = [self._resolved(branch) for branch in branches]
                return (
                    None
                    if any(_is_null(option) for option in options)
                    else self._build(options[0], depth + 1)
                )
        kind = _kind(schema)
        if kind == "object":
            return self._build_object(schema, depth)
        if kind == "array":
            items = self._resolved(schema.get("items"))
            return [self._build(items, depth + 1) for _ in range(schema.get("minItems", 0))]
        if kind == "string":
            return _text(schema)
        if kind in ("integer", "number"):
            return _number(schema)
        return False if kind == "boolean" else None

    def _build_object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        built = {
            name: self._fill(name, properties.get(name, {}), name in required, depth + 1)
            for name in dict.fromkeys([*properties, *required])
        }
        return {name: value for name, value in built.items() if value is not _MISSING}


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type") or ("object" if "properties" in schema else "null")
    if isinstance(kind, str):
        return kind
    return "null" if "null" in kind else str(kind[0])


def _is_null(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "null"


def _text(schema: dict[str, Any]) -> str:
    """Returns the text of a format, or else the shortest; it says something where a pattern wants that."""
    shortest: str = _FORMATS.get(schema.get("format", ""), "x" * schema.get("minLength", 0))
    if "pattern" in schema and not Draft202012Validator(schema).is_valid(shortest):
        return shortest or "x"
    return shortest


def _number(schema: dict[str, Any]) -> float:
    """Returns 0, or else the first number that the bounds allow."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low))
    validator = Draft202012Validator(schema)
    return next(
        (
            number
            for number in (0, low, low + 1, high, high - 1, (low + high) / 2)
            if validator.is_valid(number)
        ),
        0,
    )
