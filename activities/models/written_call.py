"""Finds tool calls that a model has written into its text, as small models do."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .structured_output import parse_json

_TAGGED = re.compile(r"<(\w+)>(.*?)(?:</\1>|\Z)", re.DOTALL)
_ARGUMENTS = ("arguments", "parameters")


def written_calls(text: str | None, tools: Collection[str]) -> list[dict[str, Any]]:
    """Finds the calls that a text consists of.

    Args:
        text: What the model has written.
        tools: The names of the tools that it was offered.

    Returns:
        The calls in OpenAI's format; none unless all of the text is calls of these tools.
    """
    if not text or not tools:
        return []
    calls: list[dict[str, Any]] = []
    for part in _parts(text):
        try:
            value = parse_json(part)
        except ValueError:
            return []
        calls += [_call(item, tools) for item in (value if isinstance(value, list) else [value])]
    return calls if all(calls) else []


def _parts(text: str) -> list[str]:
    """Takes off the tags that are around each call, whatever they are called."""
    tagged = [content for _, content in _TAGGED.findall(text)]
    return [text] if _TAGGED.sub("", text).strip() or not tagged else tagged


def _call(value: Any, tools: Collection[str]) -> dict[str, Any]:
    """Returns one call; nothing where a value is something else."""
    if not isinstance(value, dict) or value.get("name") not in list(tools):
        return {}
    given = value.keys() - {"name"}
    if len(given) != 1 or not given <= {*_ARGUMENTS}:
        return {}
    arguments = value[given.pop()]
    if not isinstance(arguments, dict):
        return {}
    return {"function": {"name": value["name"], "arguments": arguments}}
