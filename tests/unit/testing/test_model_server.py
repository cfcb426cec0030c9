"""The model server of the testing kit, asked by OpenAI's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from counterstep.testing.model_behaviour import Behaviour, ScriptedCall, call
from counterstep.testing.model_server import ModelServer


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def client(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="sk-test", max_retries=0) as client:
        yield client


async def ask(client: openai.AsyncOpenAI, model: str = "m", text: str = "hi", **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return await client.chat.completions.create(model=model, messages=messages, **fields)


async def said(client: openai.AsyncOpenAI, model: str = "m", text: str = "hi") -> str | None:
    content: str | None = (await ask(client, model, text)).choices[0].message.content
    return content


async def test_queued_behaviours_come_once_and_then_the_default(
    server: ModelServer, client: openai.AsyncOpenAI
) -> None:
    server.reply(Behaviour.text("one"), Behaviour.json({"two": 2}))
    server.default = Behaviour.text("always")
    assert [await said(client) for _ in range(4)] == ["one", '{"two": 2}', "always", "always"]


async def test_a_model_with_a_script_of_its_own_keeps_to_it(
    server: ModelServer, client: openai.AsyncOpenAI
) -> None:
    server.reply(Behaviour.text("for anyone"))
    server.for_model("judge").reply(Behaviour.text("once")).default = Behaviour.text("verdict")
    assert [await said(client, "judge"), await said(client, "judge")] == ["once", "verdict"]
    assert await said(client, "other") == "for anyone"
    assert (server.count("judge"), server.count("other"), server.count()) == (2, 1, 3)


async def test_a_handler_answers_by_the_conversation(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.default = lambda body: Behaviour.text(f"you said {body['messages'][-1]['content']}")
    assert await said(client, text="tea") == "you said tea"


async def test_an_unscripted_request_is_refused(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing is scripted for model m"):
        await ask(client)


async def test_requests_are_recorded(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.default = Behaviour.text("ok")
    await ask(client, temperature=0.5)
    (request,) = server.requests
    assert (request.model, request.body["temperature"]) == ("m", 0.5)
    assert request.headers["authorization"] == "Bearer sk-test"


async def test_tool_calls_and_usage(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.reply(
        Behaviour.calls(call("book", name="Ada"), ScriptedCall("pay", "{broken", id="own")).with_(
            usage=(100, 7)
        ),
        Behaviour.calls(call("book", name="Bob")),
    )
    answer = await ask(client)
    assert answer.choices[0].finish_reason == "tool_calls"
    made = [(tool.function.name, tool.function.arguments) for tool in answer.choices[0].message.tool_calls]
    assert made == [("book", '{"name": "Ada"}'), ("pay", "{broken")]
    again = await ask(client)
    ids = [tool.id for each in (answer, again) for tool in each.choices[0].message.tool_calls]
    assert ids[1] == "own"
    assert len(set(ids)) == 3, "like a provider's, no id comes twice"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 7)


async def test_usage_can_be_left_out(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.reply(Behaviour.text("ok").with_(usage=None))
    assert (await ask(client)).usage is None


async def test_a_text_is_streamed_in_pieces(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.reply(Behaviour.text("a text longer than one piece"))
    chunks = [chunk async for chunk in await ask(client, stream=True, stream_options={"include_usage": True})]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert len([piece for piece in pieces if piece]) > 2
    assert "".join(piece or "" for piece in pieces) == "a text longer than one piece"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 15


async def test_tool_calls_are_streamed(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.reply(Behaviour.calls(call("book", name="Ada"), call("pay", amount=3)))
    chunks = [chunk async for chunk in await ask(client, stream=True)]
    deltas = [tool for chunk in chunks for tool in chunk.choices[0].delta.tool_calls or ()]
    assert [(tool.index, tool.function.name, json.loads(tool.function.arguments)) for tool in deltas] == [
        (0, "book", {"name": "Ada"}),
        (1, "pay", {"amount": 3}),
    ]
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_a_stream_can_fail_too(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.reply(Behaviour.error(429, retry_after="3"))
    with pytest.raises(openai.RateLimitError):
        await ask(client, stream=True)


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour.error(429, retry_after="3"), openai.RateLimitError),
        (Behaviour.error(500), openai.InternalServerError),
        (Behaviour.error(503), openai.InternalServerError),
        (Behaviour.refused_key(), openai.AuthenticationError),
        (Behaviour.error(400), openai.BadRequestError),
        (Behaviour.context_overflow(), openai.BadRequestError),
        (Behaviour.broken_json(), ValueError),
        (Behaviour.dropped(), openai.APIConnectionError),
    ],
)
async def test_it_misbehaves(
    server: ModelServer, client: openai.AsyncOpenAI, behaviour: Behaviour, error: type[Exception]
) -> None:
    server.reply(behaviour)
    with pytest.raises(error) as caught:
        await ask(client)
    if isinstance(caught.value, openai.RateLimitError):
        assert caught.value.response.headers["retry-after"] == "3"
    server.reply(Behaviour.text("well again"))
    assert await said(client) == "well again"


async def test_it_answers_without_choices(server: ModelServer, client: openai.AsyncOpenAI) -> None:
    server.reply(Behaviour.empty_choices())
    assert (await ask(client)).choices == []


async def test_it_hangs_and_closes_without_waiting(client: openai.AsyncOpenAI) -> None:
    started = time.monotonic()
    async with ModelServer() as server:
        server.reply(Behaviour.hang(60))
        with pytest.raises(openai.APITimeoutError):
            await ask(client.with_options(base_url=server.base_url, timeout=0.2))
    assert time.monotonic() - started < 30


def test_in_a_thread_it_serves_other_processes() -> None:
    program = (
        "import openai\n"
        "client = openai.OpenAI(max_retries=0)\n"
        "answer = client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': 'hi'}])\n"
        "print(answer.choices[0].message.content)\n"
    )
    with ModelServer.in_thread() as server:
        server.reply(Behaviour.text("hello there"))
        ran = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **server.environment},
            capture_output=True,
            text=True,
            timeout=150,
            check=True,
        )
        assert ran.stdout.strip() == "hello there"
        assert server.count() == 1
        address = server.base_url
    with pytest.raises(openai.APIConnectionError):
        openai.OpenAI(base_url=address, api_key="x", max_retries=0).models.list()


async def test_embeddings_are_alike_where_texts_share_words_or_as_a_test_says(
    server: ModelServer, client: openai.AsyncOpenAI
) -> None:
    answer = await client.embeddings.create(
        model="e", input=["a red car", "a red bus", "x"], encoding_format="float"
    )
    red, bus, x = (item.embedding for item in answer.data)
    assert sum(a * b for a, b in zip(red, bus, strict=True)) == 2
    assert sum(a * b for a, b in zip(red, x, strict=True)) == 0
    assert answer.usage.prompt_tokens == 3 + 3 + 1
    server.vector = lambda text: [float(len(text))]
    answer = await client.embeddings.create(model="e", input="four", encoding_format="float")
    assert answer.data[0].embedding == [4.0]
    server.for_model("e").reply(Behaviour.error(429, "slow down", code="rate_limit"))
    with pytest.raises(openai.RateLimitError):
        await client.embeddings.create(model="e", input="x", encoding_format="float")
