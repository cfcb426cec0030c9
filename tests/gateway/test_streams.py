"""Whole answers as streams, read by the clients that providers give away themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from openai import OpenAI

from counterstep.activities.gateway.streams import as_stream
from counterstep.tests.support.foreign.provider import Provider, provider

CALL = {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": '{"a": 1}'}}


@contextmanager
def client(answer: dict[str, Any]) -> Iterator[OpenAI]:
    """Yields a client of OpenAI's whose every request is answered with this, as a stream."""
    with provider() as played, patch.object(played, "answer", lambda *_: answer):
        yield OpenAI(api_key="k", base_url=f"{played.url}/v1")


def chat_answer(message: dict[str, Any], finish: str) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }


@pytest.mark.parametrize(
    ("message", "finish"),
    [
        ({"role": "assistant", "content": "Here."}, "stop"),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
            "tool_calls",
        ),
        ({"role": "assistant", "content": "And:", "tool_calls": [CALL]}, "tool_calls"),
        ({"role": "assistant", "content": None, "refusal": "No."}, "stop"),
    ],
)
def test_a_chat_completion(message: dict[str, Any], finish: str) -> None:
    with (
        client(chat_answer(message, finish)) as asked,
        asked.chat.completions.stream(
            model="m",
            messages=[{"role": "user", "content": "?"}],
            stream_options={"include_usage": True},
        ) as stream,
    ):
        found = stream.get_final_completion()
    said = found.choices[0].message
    assert (said.content or None) == message["content"]
    assert (said.refusal or None) == message.get("refusal")
    calls = [(one.id, one.function.name, one.function.arguments) for one in said.tool_calls or ()]
    wanted = [
        (c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", ())
    ]
    assert calls == wanted
    assert found.choices[0].finish_reason == finish
    assert found.usage is not None and found.usage.total_tokens == 7


def test_a_chat_completion_with_what_was_likely() -> None:
    answer = chat_answer({"role": "assistant", "content": "Hi"}, "stop") | {"service_tier": "flex"}
    token = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    answer["choices"][0]["logprobs"] = {"content": [token]}
    with (
        client(answer) as asked,
        asked.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "?"}], logprobs=True
        ) as stream,
    ):
        found = stream.get_final_completion()
    told = found.choices[0].logprobs
    assert told is not None and told.content is not None
    assert [(one.token, one.logprob) for one in told.content] == [("Hi", -0.5)]
    assert found.service_tier == "flex"


def items() -> Iterator[dict[str, Any]]:
    """Yields what a response may hold."""
    yield {
        "type": "message",
        "id": "m1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Here.", "annotations": []}],
    }
    yield {
        "type": "message",
        "id": "m2",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "refusal", "refusal": "No."}],
    }
    yield {
        "type": "function_call",
        "id": "f1",
        "call_id": "call_1",
        "name": "book",
        "arguments": '{"a": 1}',
        "status": "completed",
    }
    yield {"type": "reasoning", "id": "r1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    yield {"type": "custom_tool_call", "id": "t1", "call_id": "call_2", "name": "patch", "input": "+a"}
    yield {
        "type": "web_search_call",
        "id": "w1",
        "status": "completed",
        "action": {"type": "search", "query": "a"},
    }


@pytest.mark.parametrize("item", [*items()], ids=lambda item: str(item["type"]))
def test_a_response(item: dict[str, Any]) -> None:
    answer = Provider().answer("responses", {"input": "?", "model": "m"})
    answer["output"] = [item]
    with client(answer) as asked, asked.responses.stream(model="m", input="?") as stream:
        events = [event.type for event in stream]
        found = stream.get_final_response()
    told = found.output[0].model_dump(exclude_none=True)
    for name, value in item.items():
        if name == "content":
            assert value[0].items() <= told["content"][0].items()
        else:
            assert told[name] == value
    assert events[0] == "response.created" and events[-1] == "response.completed"
    assert events.count("response.output_item.done") == 1


def test_a_response_that_is_cut_off_ends_as_such() -> None:
    answer = {**Provider().answer("responses", {"input": "?", "model": "m"}), "status": "incomplete"}
    last = [*as_stream("responses", answer, {})][-1]
    assert last.startswith("event: response.incomplete\n")


BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "text", "text": "Here."},
    {"type": "tool_use", "id": "toolu_1", "name": "book", "input": {"a": 1, "ü": "ü"}},
]


def test_a_message() -> None:
    answer = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": BLOCKS,
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    events = [json.loads(text.partition("data: ")[2]) for text in as_stream("messages", answer, {})]
    assert [event["type"] for event in events[:2]] == ["message_start", "content_block_start"]
    assert events[-2]["delta"]["stop_reason"] == "tool_use" and events[-2]["usage"] == {"output_tokens": 4}
    assert events[0]["message"]["content"] == [] and events[0]["message"]["usage"]["input_tokens"] == 3
    assert _put_together(events) == BLOCKS


def _put_together(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reads blocks as a client does, by the deltas that the documentation names."""
    blocks: dict[int, dict[str, Any]] = {}
    written: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "content_block_start":
                blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                block, delta = blocks[event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case "input_json_delta":
                        written[event["index"]] = written.get(event["index"], "") + delta["partial_json"]
    for index, text in written.items():
        blocks[index]["input"] = json.loads(text)
    return [blocks[index] for index in sorted(blocks)]
