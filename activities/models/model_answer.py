"""What a model has said, read without trust: nothing in it may make a paid answer fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from temporalio import activity
from temporalio.converter import DataConverter

from ...saga.agents.model_protocol import ModelReply, ModelRequest, ToolCall
from ...saga.limits.payload_size import MAX_PAYLOAD
from ...saga.limits.usage import CallUsage
from .final_answer import FinalAnswer
from .structured_output import check_answer, parse_answer, parse_json
from .written_call import written_calls

MOST_EXTRAS = 250_000
"""Bytes of what goes back with a message beside its text and its calls."""

BROKEN_OFF = "The answer broke off before its end, so it is not whole. Give it again."
CUT_OFF = "The answer was cut off at the output limit (max_tokens), so it is not whole. Answer more briefly."
_CALLS_CUT_OFF = (
    "the turn was cut off at the output limit (max_tokens), so none of its calls was made; "
    "make fewer calls in a turn, with shorter arguments"
)
_CALLS_BROKEN_OFF = "the turn broke off before its end, so none of its calls was made; make them again"
_TOO_LARGE = "The answer is too large, or nested too deeply, to be kept. Answer more briefly."


def refusal_of(choice: Any) -> str | None:
    """Returns why a model has refused to answer; None where it has not.

    Args:
        choice: The answer as the model client has it; newer clients have a field for refusals.
    """
    fields = getattr(choice.message, "provider_specific_fields", None) or {}
    refusal = fields.get("refusal") or getattr(choice.message, "refusal", None)
    if choice.finish_reason != "content_filter" and not refusal:
        return None
    return f"refused by content policy: {refusal or 'no reason given'}"


def read_answer(
    model: str,
    request: ModelRequest,
    message: Mapping[str, Any],
    finish_reason: str,
    final: FinalAnswer | None,
) -> ModelReply:
    """Reads one answer.

    Args:
        model: Who gave it.
        request: What was asked.
        message: The message as a JSON object in OpenAI's format.
        finish_reason: Why the model has stopped; ``length`` and ``error`` say that the answer is not whole.
        final: The tool by which it may answer, or None.

    Returns:
        The reply, with nothing spent yet.
    """
    message = scrubbed(message)
    fault, fault_of_calls = _NOT_WHOLE.get(finish_reason, (None, None))
    content, extras = message.get("content"), _extras(message)
    output, invalid = parse_answer(content, request.output_schema)
    made = message.get("tool_calls") or []
    if not made and (invalid is not None or request.output_schema is None):
        tools = [tool.name for tool in request.tools]
        made = written_calls(content, tools if final is None else [*tools, final.name])
        content = None if made else content
    spare = f"call_{len(request.messages)}"
    calls = [read_call(call, f"{spare}_{index}", fault_of_calls) for index, call in enumerate(made)]
    answers = [call for call in calls if final is not None and call.name == final.name]
    others = tuple(call for call in calls if call not in answers)
    reply = ModelReply(model=model, content=content, usage=_NOTHING, extras=extras)
    if others:
        return reply.model_copy(update={"tool_calls": others})
    if answers and final is not None:
        return _answered_by_tool(reply, answers[0], final)
    if fault is not None:
        output, invalid = None, fault
    return reply.model_copy(update={"output": output, "invalid": invalid})


def read_call(call: Mapping[str, Any], spare_id: str, fault: str | None = None) -> ToolCall:
    """Reads one tool call; empty arguments, or null, are none.

    Args:
        call: The call in OpenAI's format.
        spare_id: Its id where it has none.
        fault: Why it is not to be made; None where it is.
    """
    function = call.get("function") or call.get("custom") or {}
    name, text = str(function.get("name") or ""), function.get("arguments")
    arguments, invalid = _arguments(text)
    if fault is not None:
        arguments, invalid = None, fault
    extras = {key: value for key, value in call.items() if key not in _OF_A_CALL and value}
    return ToolCall(
        id=str(call.get("id") or spare_id), name=name, arguments=arguments, invalid=invalid, extras=extras
    )


def that_travels(reply: ModelReply) -> dict[str, Any]:
    """Returns a reply as JSON that can be recorded and read again; one that cannot be is told as unusable.

    An activity whose result cannot be written is tried again, and the answer is paid for once more.
    """
    written = reply.model_dump(mode="json")
    converter = (
        activity.payload_converter() if activity.in_activity() else DataConverter.default.payload_converter
    )
    try:
        payload = converter.to_payload(written)
        converter.from_payload(payload)
        if payload.ByteSize() <= MAX_PAYLOAD:
            return written
    except (ValueError, TypeError, RuntimeError):
        pass
    kept = ModelReply(model=reply.model, invalid=_TOO_LARGE, usage=reply.usage)
    return kept.model_dump(mode="json")


_NOT_WHOLE = {"length": (CUT_OFF, _CALLS_CUT_OFF), "error": (BROKEN_OFF, _CALLS_BROKEN_OFF)}
_NOTHING = CallUsage(model_calls=0, input_tokens=0, output_tokens=0, usd=0.0)
_OF_A_MESSAGE = {"role", "content", "tool_calls", "function_call"}
_OF_A_CALL = {"id", "type", "function", "custom", "index"}


def _answered_by_tool(reply: ModelReply, call: ToolCall, final: FinalAnswer) -> ModelReply:
    output, invalid = None, call.invalid
    if call.arguments is not None:
        output, invalid = check_answer(call.arguments, final.schema)
    content = reply.content
    if invalid is not None and call.arguments is not None:
        content = json.dumps(call.arguments, ensure_ascii=False)
    return reply.model_copy(update={"content": content, "output": output, "invalid": invalid})


def _arguments(text: Any) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(text, Mapping):
        return dict(text), None
    text = str(text or "").strip()
    try:
        arguments = parse_json(text or "{}")
    except ValueError as error:
        return None, f"The arguments are not JSON ({error}): {text[:200]}"
    if isinstance(arguments, str):  # some models write them as text once more
        with suppress(ValueError):
            arguments = parse_json(arguments or "{}")
    if not arguments and not isinstance(arguments, bool | int | float):
        return {}, None
    if not isinstance(arguments, dict):
        return None, f"The arguments are not a JSON object: {text[:200]}"
    return arguments, None


def _extras(message: Mapping[str, Any]) -> dict[str, Any]:
    extras = {key: value for key, value in message.items() if key not in _OF_A_MESSAGE and value}
    specific = extras.pop("provider_specific_fields", None)
    if isinstance(specific, Mapping):
        kept = {key: value for key, value in specific.items() if value and key not in extras}
        extras |= {"provider_specific_fields": kept} if kept else {}
    if len(json.dumps(extras, default=str)) <= MOST_EXTRAS:
        return extras
    # Reasoning that is text may be shortened; what is signed may not.
    reasoning = extras.get("reasoning_content")
    return {"reasoning_content": reasoning[: MOST_EXTRAS // 8]} if isinstance(reasoning, str) else {}


def scrubbed(value: Any) -> Any:
    """Replaces halves of surrogate pairs, which no UTF-8 can carry."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [scrubbed(item) for item in value]
    if isinstance(value, dict):
        return {scrubbed(key): scrubbed(item) for key, item in value.items()}
    return value
