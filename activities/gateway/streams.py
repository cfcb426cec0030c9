"""Turns whole answers into streams, for clients that ask for one: an answer is recorded before it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ...saga.agents.foreign.host_protocol import HostRefusal
from ...saga.agents.hosted_body import Dialect

_OF_ALL_CHUNKS: Final = ("id", "created", "model", "service_tier", "system_fingerprint")

Event = tuple[str | None, Any]
"""The name of an event, or None where the dialect names none, and its data."""


def as_stream(dialect: Dialect, answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[str]:
    """Yields an answer as server-sent events.

    Args:
        dialect: Whose.
        answer: The whole answer.
        body: The request.
    """
    for name, data in _STREAMS[dialect](answer, body):
        yield _written(name, data)


def as_refusal(dialect: Dialect, refusal: HostRefusal) -> str:
    """Returns a refusal as the event that ends a stream which has begun."""
    return _written(None if dialect == "chat" else "error", error_of(dialect, refusal))


def error_of(dialect: Dialect, refusal: HostRefusal) -> dict[str, Any]:
    """Returns a refusal as the clients of a dialect read it."""
    error = {"message": refusal.message, "type": str(refusal.type), "code": str(refusal.type)}
    return {"type": "error", "error": error} if dialect == "messages" else {"error": error}


def _written(name: str | None, data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    line = "" if name is None else f"event: {name}\n"
    return f"{line}data: {text}\n\n"


def _chat(answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[Event]:
    """OpenAI's chat completion chunks (https://platform.openai.com/docs/api-reference/chat-streaming)."""
    base = {
        **{name: answer[name] for name in _OF_ALL_CHUNKS if name in answer},
        "object": "chat.completion.chunk",
    }

    def chunk(index: int, delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> Event:
        return None, {**base, "choices": [{"index": index, "delta": delta, "finish_reason": finish, **more}]}

    for choice in answer.get("choices", ()):
        index, message = choice.get("index", 0), choice.get("message", {})
        said = {name: value for name, value in message.items() if name != "tool_calls" and value is not None}
        likely = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        yield chunk(index, {"role": "assistant", "content": "", **said}, **likely)
        if calls := message.get("tool_calls"):
            yield chunk(index, {"tool_calls": [{**call, "index": at} for at, call in enumerate(calls)]})
        yield chunk(index, {}, choice.get("finish_reason") or "stop")
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, {**base, "choices": [], "usage": answer.get("usage")}
    yield None, "[DONE]"


def _responses(answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[Event]:
    """OpenAI's response events (https://platform.openai.com/docs/api-reference/responses-streaming)."""
    number = -1

    def event(kind: str, /, **data: Any) -> Event:
        nonlocal number
        number += 1
        return kind, {"type": kind, "sequence_number": number, **data}

    begun = {**answer, "status": "in_progress", "output": []}
    begun.pop("usage", None)
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(answer.get("output", ())):
        yield event("response.output_item.added", output_index=index, item=_begun(item))
        where = {"item_id": item.get("id", f"item_{index}"), "output_index": index}
        for name, data in _parts(item):
            yield event(name, **where, **data)
        yield event("response.output_item.done", output_index=index, item=item)
    status = answer.get("status", "completed")
    end = status if status in ("completed", "failed", "incomplete") else "completed"
    yield event(f"response.{end}", response=answer)


def _begun(item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an item of the output before it has any content."""
    empty: dict[str, Any] = {"message": {"content": []}, "reasoning": {"summary": []}}.get(
        str(item.get("type")), {}
    )
    texts = {name: "" for name in ("arguments", "input") if isinstance(item.get(name), str)}
    status = {"status": "in_progress"} if "status" in item else {}
    return {**item, **empty, **texts, **status}


def _parts(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    match item.get("type"):
        case "message":
            for at, part in enumerate(item.get("content", ())):
                kind = "refusal" if part.get("type") == "refusal" else "text"
                event = "response.refusal" if kind == "refusal" else "response.output_text"
                more: dict[str, Any] = {} if kind == "refusal" else {"logprobs": []}
                text = part.get(kind, "")
                yield "response.content_part.added", {"content_index": at, "part": {**part, kind: ""}}
                yield f"{event}.delta", {"content_index": at, "delta": text, **more}
                yield f"{event}.done", {"content_index": at, kind: text, **more}
                yield "response.content_part.done", {"content_index": at, "part": part}
        case "function_call":
            told, done = {"delta": item.get("arguments", "")}, {"arguments": item.get("arguments", "")}
            yield "response.function_call_arguments.delta", told
            yield "response.function_call_arguments.done", {**done, "name": item.get("name", "")}
        case "custom_tool_call":
            yield "response.custom_tool_call_input.delta", {"delta": item.get("input", "")}
            yield "response.custom_tool_call_input.done", {"input": item.get("input", "")}
        case "reasoning":
            for at, part in enumerate(item.get("summary") or ()):
                text, where = part.get("text", ""), {"summary_index": at}
                yield "response.reasoning_summary_part.added", {**where, "part": {**part, "text": ""}}
                yield "response.reasoning_summary_text.delta", {**where, "delta": text}
                yield "response.reasoning_summary_text.done", {**where, "text": text}
                yield "response.reasoning_summary_part.done", {**where, "part": part}


def _messages(answer: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[Event]:
    """Anthropic's message events (https://docs.claude.com/en/docs/build-with-claude/streaming)."""

    def event(kind: str, /, **data: Any) -> Event:
        return kind, {"type": kind, **data}

    usage = answer.get("usage") or {}
    counted = {"input_tokens": 0, **usage, "output_tokens": 1}
    yield event("message_start", message={**answer, "content": [], "stop_reason": None, "usage": counted})
    for index, block in enumerate(answer.get("content") or ()):
        empty, deltas = _block(block)
        yield event("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    stop = {"stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence")}
    yield event("message_delta", delta=stop, usage={"output_tokens": usage.get("output_tokens", 0)})
    yield event("message_stop")


def _block(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns a block of the content before it has any, and what adds that to it."""
    match block.get("type"):
        case "text":
            citations = [{"type": "citations_delta", "citation": one} for one in block.get("citations") or ()]
            text = {"type": "text_delta", "text": block.get("text", "")}
            return {**block, "text": "", **({"citations": []} if citations else {})}, [text, *citations]
        case "thinking":
            thought = {"type": "thinking_delta", "thinking": block.get("thinking", "")}
            signed = {"type": "signature_delta", "signature": block.get("signature") or ""}
            return {**block, "thinking": "", "signature": ""}, [thought, signed]
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            told = json.dumps(block.get("input") or {}, ensure_ascii=False)
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": told}]
        case _:
            return dict(block), []


_STREAMS: Final[Mapping[Dialect, Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Event]]]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
}
