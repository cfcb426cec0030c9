"""Model calls over real HTTP: what is sent, what comes back, what it cost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import litellm
import pytest
from pydantic import BaseModel
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models import litellm_client
from counterstep.activities.models.litellm_client import STAND_IN_MODEL, call_model
from counterstep.activities.models.stand_in_call import answer_as_stand_in
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolCall, ToolSchema
from counterstep.testing.model_behaviour import Behaviour, ScriptedCall, call
from counterstep.testing.model_server import ModelServer

MODEL = "openai/test-model"
TOOLS = (
    ToolSchema(
        name="price_of",
        description="The price of an article.",
        parameters={"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
    ),
)


class Purchase(BaseModel):
    sku: str
    price: float
    note: str | None = None


SCHEMA = Purchase.model_json_schema()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def request_to(*models: str, **fields: Any) -> ModelRequest:
    messages = fields.pop("messages", (ChatMessage(role="user", content="What does A1 cost?"),))
    return ModelRequest(agent="shop.buyer", models=models or (MODEL,), messages=messages, **fields)


async def ask(*models: str, **fields: Any) -> ModelReply:
    wire = json.loads(json.dumps(request_to(*models, **fields).model_dump(mode="json")))
    return ModelReply.model_validate(await ActivityEnvironment().run(call_model, wire))


async def test_a_text_answer_comes_back_with_its_usage(server: ModelServer) -> None:
    server.reply(Behaviour.text("Seven.").with_(usage=(120, 8)))
    reply = await ask()
    assert (reply.model, reply.content, reply.output, reply.invalid) == (MODEL, "Seven.", "Seven.", None)
    assert (reply.usage.model_calls, reply.usage.input_tokens, reply.usage.output_tokens) == (1, 120, 8)


async def test_the_conversation_is_sent_as_it_is(server: ModelServer) -> None:
    server.reply(Behaviour.text("ok"))
    asked = ToolCall(id="c1", name="price_of", arguments={"sku": "A1"})
    broken = ToolCall(id="c2", name="price_of", arguments=None, invalid="not JSON")
    conversation = (
        ChatMessage(role="system", content="You buy."),
        ChatMessage(role="user", content="Buy A1."),
        ChatMessage(role="assistant", tool_calls=(asked, broken)),
        ChatMessage(role="tool", tool_call_id="c1", content="7"),
        ChatMessage(role="tool", tool_call_id="c2", content='{"error": "not JSON"}'),
    )
    await ask(messages=conversation, tools=TOOLS, temperature=0.2)
    body = server.requests[0].body
    assert body["model"] == "test-model"
    assert body["temperature"] == 0.2
    assert body["tools"][0] == {"type": "function", "function": TOOLS[0].model_dump()}
    assert [message["role"] for message in body["messages"]] == [m.role for m in conversation]
    calls = body["messages"][2]["tool_calls"]
    assert [(made["id"], json.loads(made["function"]["arguments"])) for made in calls] == [
        ("c1", {"sku": "A1"}),
        ("c2", {}),
    ]
    assert body["messages"][3]["tool_call_id"] == "c1"
    assert "response_format" not in body


async def test_the_address_is_read_at_each_call(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.reply(Behaviour.text("first"))
    await ask()
    async with ModelServer() as other:
        other.reply(Behaviour.text("second"))
        monkeypatch.delenv("OPENAI_BASE_URL")
        monkeypatch.setenv("OPENAI_API_BASE", other.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-another-key")
        assert (await ask()).output == "second"
        assert other.requests[0].headers["authorization"] == "Bearer sk-another-key"
    assert server.count() == 1


async def test_tool_calls_come_back_parsed(server: ModelServer) -> None:
    server.reply(
        Behaviour.calls(
            call("price_of", sku="A1"),
            ScriptedCall("price_of", '{"sku": "A'),
            ScriptedCall("price_of", '["A1"]'),
            ScriptedCall("price_of", ""),
            ScriptedCall("price_of", '{"sku": NaN}'),
        )
    )
    reply = await ask(tools=TOOLS, output_schema=SCHEMA)
    good, broken, listed, empty, nan = reply.tool_calls
    assert (good.name, good.arguments, good.invalid) == ("price_of", {"sku": "A1"}, None)
    assert broken.arguments is None and "not JSON" in (broken.invalid or "")
    assert listed.arguments is None and "not a JSON object" in (listed.invalid or "")
    assert empty.arguments == {}
    assert nan.arguments is None and "NaN" in (nan.invalid or "")
    assert len({made.id for made in reply.tool_calls}) == 5
    assert reply.output is None and reply.invalid is None


async def test_an_answer_is_parsed_and_checked_against_its_schema(server: ModelServer) -> None:
    server.reply(Behaviour.text('```json\n{"sku": "A1", "price": 7}\n```'))
    reply = await ask(output_schema=SCHEMA, output_name="Purchase")
    assert reply.output == {"sku": "A1", "price": 7}
    described = server.requests[0].body["response_format"]["json_schema"]
    assert (described["name"], described["strict"]) == ("Purchase", True)
    assert described["schema"]["required"] == ["sku", "price", "note"]
    assert described["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            '{"sku": 1, "price": "dear"}',
            ["answer.sku: 1 is not of type 'string'", "answer.price: 'dear' is not of type"],
        ),
        ('{"sku": "A1"}', ["'price' is missing"]),
        ('{"sku": "A1", "price": 1, "note": 3}', ["answer.note: 3 is not string or null"]),
        ('{"sku": "A1", "price": Infinity}', ["not JSON", "column 24"]),
        ("It costs seven.", ["not JSON"]),
        ("", ["empty"]),
    ],
)
async def test_an_answer_of_the_wrong_schema_says_what_to_correct(
    server: ModelServer, content: str, says: list[str]
) -> None:
    server.reply(Behaviour.text(content))
    reply = await ask(output_schema=SCHEMA)
    assert reply.output is None
    for part in says:
        assert part in (reply.invalid or "")
    assert reply.content == content or not content
    assert reply.usage.model_calls == 1


async def test_at_most_five_faults_are_listed(server: ModelServer) -> None:
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(9)}}
    server.reply(Behaviour.json({f"p{n}": n for n in range(9)}))
    reply = await ask(output_schema=schema)
    assert (reply.invalid or "").count("is not of type") == 5
    assert "(and 4 more)" in (reply.invalid or "")


async def test_a_cut_off_answer_says_so(server: ModelServer) -> None:
    server.reply(Behaviour.text('{"sku": "A').with_(finish_reason="length"))
    reply = await ask(output_schema=SCHEMA)
    assert "cut off" in (reply.invalid or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"prices": {"type": "object", "additionalProperties": {}}}},
        {"type": "object", "properties": {"note": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}]}}, "required": ["a"]},
    ],
)
async def test_a_schema_that_strict_mode_cannot_say_is_sent_as_it_is(
    server: ModelServer, schema: dict[str, Any]
) -> None:
    server.reply(Behaviour.text("{}"))
    await ask(output_schema=schema)
    assert server.requests[0].body["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": schema,
        "strict": False,
    }


async def test_a_model_without_response_format_is_told_the_schema(server: ModelServer) -> None:
    server.default = Behaviour.json({"sku": "A1", "price": 7})
    for messages in (
        (ChatMessage(role="user", content="Buy."),),
        (ChatMessage(role="system", content="You buy."), ChatMessage(role="user", content="Buy.")),
    ):
        reply = await ask("openai/gpt-3.5-turbo", messages=messages, output_schema=SCHEMA)
        assert reply.output == {"sku": "A1", "price": 7}
        body = server.requests[-1].body
        assert "response_format" not in body
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert json.dumps(SCHEMA) in body["messages"][0]["content"]
    assert server.requests[-1].body["messages"][0]["content"].startswith("You buy.\n\n")


async def test_a_parameter_the_model_does_not_take_is_left_out(server: ModelServer) -> None:
    server.reply(Behaviour.text("ok"))
    reply = await ask("openai/o3-mini", temperature=0.3)
    assert reply.output == "ok"
    assert "temperature" not in server.requests[0].body
    assert server.count() == 1


async def test_a_seed_goes_to_models_that_take_one(server: ModelServer) -> None:
    server.reply(Behaviour.text("ok"), Behaviour.text("ok"))
    await ask(seed=0)
    await ask()
    assert [request.body.get("seed") for request in server.requests] == [0, None]
    request = ModelRequest(
        agent="shop.buyer", models=(MODEL,), messages=(ChatMessage(role="user", content="?"),), seed=7
    )
    assert "seed" not in litellm_client._question("anthropic/claude-haiku-4-5", request).arguments
    assert litellm_client._question("gemini/gemini-2.0-flash", request).arguments["seed"] == 7


async def test_a_registered_price_is_charged(server: ModelServer) -> None:
    litellm.register_model(
        {
            "openai/priced-model": {
                "litellm_provider": "openai",
                "mode": "chat",
                "input_cost_per_token": 1e-6,
                "output_cost_per_token": 4e-6,
            }
        }
    )
    server.reply(Behaviour.text("ok").with_(usage=(1000, 500)))
    assert (await ask("openai/priced-model")).usage.usd == pytest.approx(0.003)


async def test_a_listed_price_is_charged_when_the_answer_states_no_usage(server: ModelServer) -> None:
    server.reply(Behaviour.text("Seven euros, I believe.").with_(usage=None))
    usage = (await ask("openai/gpt-4o-mini")).usage
    assert usage.input_tokens > 4 and usage.output_tokens > 4
    assert usage.usd == pytest.approx(usage.input_tokens * 0.15e-6 + usage.output_tokens * 0.6e-6)


async def test_tool_calls_are_counted_when_the_answer_states_no_usage(server: ModelServer) -> None:
    server.reply(Behaviour.calls(call("price_of", sku="A1 " * 50)).with_(usage=None))
    assert (await ask(tools=TOOLS)).usage.output_tokens > 50


async def test_a_model_without_a_known_price_costs_none_not_zero(server: ModelServer) -> None:
    litellm.register_model({"openai/listed-without-price": {"litellm_provider": "openai", "mode": "chat"}})
    server.default = Behaviour.text("ok")
    assert (await ask()).usage.usd is None
    assert (await ask("openai/listed-without-price")).usage.usd is None


async def test_a_cancelled_call_stops_at_once(server: ModelServer) -> None:
    arrived = asyncio.Event()

    def hang(body: dict[str, Any]) -> Behaviour:
        arrived.set()
        return Behaviour.hang(60)

    server.default = hang
    environment = ActivityEnvironment()
    running = asyncio.create_task(environment.run(call_model, request_to().model_dump(mode="json")))
    await asyncio.wait_for(arrived.wait(), 60)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 30)


async def test_the_stand_in_plays_through_litellm_for_nothing() -> None:
    conversation = [ChatMessage(role="user", content='Buy it. {"sku": "A1"}')]
    first = await ask(STAND_IN_MODEL, messages=tuple(conversation), tools=TOOLS, output_schema=SCHEMA)
    assert [(made.name, made.arguments) for made in first.tool_calls] == [("price_of", {"sku": "A1"})]
    conversation += [
        ChatMessage(role="assistant", tool_calls=first.tool_calls),
        ChatMessage(role="tool", tool_call_id=first.tool_calls[0].id, content='{"price": 7.5}'),
    ]
    last = await ask(STAND_IN_MODEL, messages=tuple(conversation), tools=TOOLS, output_schema=SCHEMA)
    assert last.output == {"sku": "A1", "price": 7.5, "note": None}
    assert (last.model, last.usage.usd) == (STAND_IN_MODEL, 0.0)
    assert last.usage.input_tokens > 10 and last.usage.output_tokens > 5
    asked = {"tools": TOOLS, "output_schema": SCHEMA}
    for messages, reply in ((conversation[:1], first), (conversation, last)):
        request = request_to(STAND_IN_MODEL, messages=tuple(messages), **asked)
        alone = answer_as_stand_in(request)
        assert alone.usage.usd == 0.0 and alone.usage.input_tokens > 5
        assert alone.model_copy(update={"usage": reply.usage}) == reply, "without litellm it is the same"
