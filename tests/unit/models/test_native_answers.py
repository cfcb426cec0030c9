"""Odd answers in a provider's own format: paid once, counted, and read as far as they can be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from temporalio.exceptions import ApplicationError

from counterstep.activities.models.litellm_client import call_model
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolSchema

CLAUDE, GEMINI, OLLAMA = "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "ollama_chat/llama3"
LOOK = ToolSchema(name="look", description="Looks.", parameters={"type": "object"})
HELLO = {"type": "text", "text": "hello"}


class Provider:
    """Answers each request with the same body.

    Attributes:
        body: That.
        count: How many requests have come.
    """

    def __init__(self) -> None:
        self.body: Any = None
        self.count = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.count += 1
        await request.read()
        return web.json_response(self.body)


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_post("/{path:.*}", provider.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for name in ("ANTHROPIC", "GEMINI", "OLLAMA"):
        monkeypatch.setenv(f"{name}_API_BASE", f"http://127.0.0.1:{runner.addresses[0][1]}")
        monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
    yield provider
    await runner.cleanup()


async def ask(model: str) -> ModelReply:
    said = (ChatMessage(role="user", content="x"),)
    asked = ModelRequest(agent="a", models=(model,), messages=said, tools=(LOOK,))
    return ModelReply.model_validate(await call_model(asked.model_dump(mode="json")))


def claude(content: Any, **changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 5}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return {**message, "stop_reason": "end_turn", "usage": usage, **changes}


def gemini(parts: Any, **changes: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return {"candidates": [candidate], "usageMetadata": usage, **changes}


def ollama(message: Any, **changes: Any) -> dict[str, Any]:
    counts = {"prompt_eval_count": 10, "eval_count": 5}
    return {"model": "llama3", "message": message, "done": True, "done_reason": "stop", **counts, **changes}


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        (CLAUDE, claude([HELLO]), "hello"),
        (CLAUDE, claude(None), None),
        (CLAUDE, claude([None, {"type": "thinking", "thinking": None}, HELLO]), "hello"),
        (
            CLAUDE,
            claude([HELLO], usage={"input_tokens": 10, "output_tokens": 5, "server_tool_use": 7}),
            "hello",
        ),
        (GEMINI, gemini(None), None),
        (GEMINI, gemini([{"text": "hm", "thought": True}, {"text": "hello"}, "!"]), "hello!"),
        (OLLAMA, ollama({"role": "assistant", "content": None}), None),
        (OLLAMA, ollama(None), None),
    ],
)
async def test_an_odd_answer_is_paid_once_and_its_text_is_kept(
    provider: Provider, model: str, body: dict[str, Any], said: str | None
) -> None:
    provider.body = body
    reply = await ask(model)
    assert (reply.output, reply.tool_calls, provider.count) == (said, (), 1)
    assert (reply.invalid is None) == (said is not None)
    assert (reply.usage.model_calls, reply.usage.input_tokens, reply.usage.output_tokens) == (1, 10, 5)


async def test_an_answer_without_a_candidate_is_paid_once_and_refused(provider: Provider) -> None:
    provider.body = gemini([], candidates=None)
    with pytest.raises(ApplicationError, match="an answer without choices") as raised:
        await ask(GEMINI)
    assert (raised.value.type, raised.value.non_retryable, provider.count) == ("ModelRefused", True, 1)
    assert raised.value.details[0]["spent"]["input_tokens"] == 10


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CLAUDE, claude([HELLO], usage=None)),
        (GEMINI, gemini([{"text": "hello"}], usageMetadata=None)),
        (OLLAMA, ollama({"role": "assistant", "content": "hello"}, prompt_eval_count=None, eval_count="x")),
    ],
)
async def test_an_answer_that_states_no_usage_is_an_answer(
    provider: Provider, model: str, body: dict[str, Any]
) -> None:
    provider.body = body
    reply = await ask(model)
    assert (reply.output, provider.count) == ("hello", 1)
    assert reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CLAUDE, claude([{"type": "tool_use", "id": "t", "name": "look", "input": {"q": "a"}}], usage=None)),
        (CLAUDE, claude([{"type": "tool_use", "id": "t", "name": "look", "input": json.dumps({"q": "a"})}])),
        (GEMINI, gemini([None, {"functionCall": {"name": "look", "args": {"q": "a"}}}])),
        (
            OLLAMA,
            ollama(
                {"tool_calls": [{}, {"function": {"name": "look", "arguments": {"q": "a"}}}], "content": None}
            ),
        ),
    ],
)
async def test_the_calls_of_an_odd_answer_are_kept(
    provider: Provider, model: str, body: dict[str, Any]
) -> None:
    provider.body = body
    (made,) = (await ask(model)).tool_calls
    assert (made.name, made.arguments, made.invalid, provider.count) == ("look", {"q": "a"}, None, 1)
