"""What a tool has answered, as JSON and as text, without the secrets of its server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..saga.failure import trim

if TYPE_CHECKING:
    from mcp.types import CallToolResult

HIDDEN = "[redacted]"

LONGEST = 600
"""Characters of what a server has said that are told."""

_SHORTEST_SECRET = 4


def hidden(value: Any, secrets: Iterable[str]) -> Any:
    """Returns a JSON value in which no text has one of these secrets in it."""
    known = sorted((secret for secret in secrets if len(secret) >= _SHORTEST_SECRET), key=len, reverse=True)
    return _hidden(value, known) if known else value


def told(text: str, secrets: Iterable[str]) -> str:
    """Returns what somebody is told: without secrets, of which no part may be left, and then not too long."""
    return trim(str(hidden(text, secrets)), LONGEST)


def text_of(result: CallToolResult) -> str:
    """Returns the text of a result; of other content it says what it is, and where."""
    return "\n".join(_text(block) for block in result.content)


def value_of(result: CallToolResult, *, structured: bool) -> Any:
    """Returns the JSON value of a result.

    Args:
        result: What the server has answered.
        structured: Whether the tool says what its results look like; otherwise its result is its text.

    Raises:
        ValueError: It has to be structured, and is not.
    """
    if not structured:
        return text_of(result)
    if result.structured_content is None:
        raise ValueError("it has no structured content, and the tool has an output schema")
    return result.structured_content


def _text(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type == "resource":
        inner = block.resource
        return str(getattr(inner, "text", None) or f"[{inner.uri}]")
    if block.type == "resource_link":
        return f"[{block.uri}]"
    return f"[{block.type} {getattr(block, 'mime_type', '')}]"


def _hidden(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            for form in dict.fromkeys((secret, json.dumps(secret)[1:-1])):
                value = value.replace(form, HIDDEN)
        return value
    if isinstance(value, dict):
        return {_hidden(key, secrets): _hidden(part, secrets) for key, part in value.items()}
    if isinstance(value, list):
        return [_hidden(part, secrets) for part in value]
    return value
