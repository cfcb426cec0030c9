"""Model calls that the stand-in answers in this process: nothing has to be loaded, and nothing is spent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolCall
from ...saga.history_format import STAND_IN
from ...saga.limits.usage import CallUsage
from .openai_messages import wire_messages
from .similarity import by_words
from .stand_in import stand_in_call_id, stand_in_reply
from .structured_output import parse_answer


def stand_in_message(
    messages: Sequence[Mapping[str, Any]], asked: Mapping[str, Any]
) -> tuple[dict[str, Any], list[int]]:
    """Returns what the stand-in says, as a message in OpenAI's format, and the tokens of question and answer.

    Args:
        messages: The conversation in OpenAI's format.
        asked: The other parameters of the request.
    """
    schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
    reply = stand_in_reply(messages, asked.get("tools") or (), schema)
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if reply.tool is not None:
        function = {"name": reply.tool, "arguments": json.dumps(reply.arguments)}
        message["tool_calls"] = [{"id": stand_in_call_id(messages), "type": "function", "function": function}]
    return message, [len(json.dumps(part)) // 4 + 1 for part in (messages, message)]


def answer_as_stand_in(request: ModelRequest) -> ModelReply:
    """Answers a request in the way in which the model client does when it asks the stand-in.

    Args:
        request: A request whose only model is the stand-in.

    Returns:
        The reply; its usage counts four characters as one token.
    """
    if request.phrases:
        text = request.messages[-1].content or ""
        usage = CallUsage(model_calls=1, input_tokens=len(text) // 4 + 1, output_tokens=0, usd=0.0)
        return ModelReply(model=STAND_IN, output=by_words(text, request.phrases), usage=usage)
    messages = wire_messages(request.messages)
    tools = [{"type": "function", "function": tool.model_dump()} for tool in request.tools]
    played = stand_in_reply(messages, tools, request.output_schema)
    calls: tuple[ToolCall, ...] = ()
    output, invalid = None, None
    if played.tool is None:
        output, invalid = parse_answer(played.content, request.output_schema)
    else:
        id_ = stand_in_call_id(messages)
        calls = (ToolCall(id=id_, name=played.tool, arguments=dict(played.arguments or {})),)
    (said,) = wire_messages([ChatMessage(role="assistant", content=played.content, tool_calls=calls)])
    asked_tokens, said_tokens = (len(json.dumps(part)) // 4 + 1 for part in (messages, said))
    usage = CallUsage(model_calls=1, input_tokens=asked_tokens, output_tokens=said_tokens, usd=0.0)
    return ModelReply(
        model=STAND_IN, content=played.content, tool_calls=calls, output=output, invalid=invalid, usage=usage
    )
