"""Writes the messages of a conversation in OpenAI's format, without anything that model providers refuse."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from ...saga.agents.model_protocol import ChatMessage, ToolCall, ToolSchema
from .answer_schema import tool_parameters

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")

LONGEST_DESCRIPTION = 1024
"""Characters of the description of a tool; some providers refuse more."""

_SIGNATURE = "__thought__"
"""Behind this litellm hides a signature of Gemini in the id of a call."""

Extras = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Says of the extras of a model which ones go back, and in which form."""


def wire_messages(messages: Iterable[ChatMessage], extras: Extras | None = None) -> list[dict[str, Any]]:
    """Writes a conversation.

    Names and ids that models have made up, and that a provider would refuse, are mended: whatever stands in a
    conversation is sent again with every turn.

    Args:
        messages: The conversation.
        extras: Which extras go back; None for none.

    Returns:
        JSON objects in OpenAI's format.
    """
    written: list[dict[str, Any]] = []
    ids = _CallIds()
    for message in messages:
        wire: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.extras and extras is not None:
            wire = {**extras(message.model, message.extras), **wire}
        if message.tool_calls:
            own = ids.of(message.tool_calls)
            wire["tool_calls"] = [
                {**_call_extras(call, message.model, extras), **_call(call, id_)}
                for call, id_ in zip(message.tool_calls, own, strict=True)
            ]
        if message.tool_call_id is not None:
            wire["tool_call_id"] = ids.answered(message.tool_call_id)
        written.append(wire)
    return written


def wire_name(name: str, otherwise: str = "unknown") -> str:
    """Returns a name that every provider takes, the same one where it is fine."""
    if _NAME.fullmatch(name):
        return name
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64].strip("_") or otherwise


def wire_tool(tool: ToolSchema) -> dict[str, Any]:
    """Writes a tool that is offered, as every provider takes it."""
    function = {
        "name": tool.name,
        "description": tool.description[:LONGEST_DESCRIPTION],
        "parameters": tool_parameters(tool.parameters),
    }
    return {"type": "function", "function": function}


def with_word(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Adds to the first system message, because some providers take only one of them."""
    if not messages or messages[0]["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]


def _call(call: ToolCall, id_: str) -> dict[str, Any]:
    function = {"name": wire_name(call.name), "arguments": json.dumps(call.arguments or {})}
    return {"id": id_, "type": "function", "function": function}


def _call_extras(call: ToolCall, model: str, extras: Extras | None) -> dict[str, Any]:
    if extras is None:
        return {}
    found = dict(call.extras)
    signature = call.id.partition(_SIGNATURE)[2]
    if signature and "provider_specific_fields" not in found:
        found["provider_specific_fields"] = {"thought_signature": signature}
    return extras(model, found) if found else {}


class _CallIds:
    """Gives each tool call of a conversation an id of its own, and its answer the same one."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._open: deque[tuple[str, str]] = deque()

    def of(self, calls: Iterable[ToolCall]) -> list[str]:
        """Returns the ids of the calls of one message."""
        self._open = deque((call.id, self._free(call.id.partition(_SIGNATURE)[0])) for call in calls)
        return [id_ for _, id_ in self._open]

    def answered(self, id_: str) -> str:
        """Returns the id of the next call that was made under `id_`; answers come in the calls' order."""
        for pair in self._open:
            if pair[0] == id_:
                self._open.remove(pair)
                return pair[1]
        return id_

    def _free(self, wanted: str) -> str:
        if not _ID.fullmatch(wanted) or wanted in self._taken:
            wanted = next(spare for n in count(1) if (spare := f"call_{n}") not in self._taken)
        self._taken.add(wanted)
        return wanted


def is_openai(address: str | None) -> bool:
    """Says whether an address, or none, leads to OpenAI itself, and not to a server that speaks like it."""
    host = urlsplit(address).hostname if address else None
    return host is None or host == "openai.com" or host.endswith(".openai.com")
