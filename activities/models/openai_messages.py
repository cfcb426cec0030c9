"""Writes the messages of a conversation in OpenAI's format, which model providers take."""

from __future__ import annotations

import json
from typing import Any

from ...saga.agents.model_protocol import ChatMessage


def wire_message(message: ChatMessage) -> dict[str, Any]:
    """Writes one message.

    Args:
        message: The message.

    Returns:
        A JSON object in OpenAI's format.
    """
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments or {})},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire
