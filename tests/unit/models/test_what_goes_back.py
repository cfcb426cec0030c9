"""What a conversation holds when it is sent again: all that a provider sent, and nothing that it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import litellm
import pytest
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models.litellm_client import call_model
from counterstep.activities.models.model_answer import MOST_EXTRAS
from counterstep.activities.models.openai_messages import wire_messages
from counterstep.saga.agents.agent_loop import _said
from counterstep.saga.agents.conversation_state import ConversationState
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolCall, ToolSchema
from counterstep.testing.model_behaviour import Behaviour, ScriptedCall
from counterstep.testing.model_server import ModelServer

TOOL = ToolSchema(name="look", description="Looks.", parameters={"type": "object"})
FIRST = ChatMessage(role="user", content="x")
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for provider in ("OPENAI", "DEEPSEEK", "MOONSHOT", "OPENROUTER"):
            monkeypatch.setenv(f"{provider}_API_BASE", server.base_url)
            monkeypatch.setenv(f"{provider}_API_KEY", "k")
        yield server


async def ask(*messages: ChatMessage, model: str = "openai/test") -> ModelReply:
    asked = ModelRequest(agent="a", models=(model,), messages=messages, tools=(TOOL,))
    return ModelReply.model_validate(
        await ActivityEnvironment().run(call_model, asked.model_dump(mode="json"))
    )


async def second_turn(
    server: ModelServer, message: dict[str, Any], model: str, again: str = ""
) -> dict[str, Any]:
    """Lets a model say something, and returns how that looks in the next request."""
    server.reply(Behaviour.message(**message), Behaviour.text("done"))
    said = _said(await ask(FIRST, model=model))
    carried = ConversationState.said([said])["messages"]
    said = ChatMessage.model_validate(json.loads(json.dumps(carried))[0])
    answers = [ChatMessage(role="tool", tool_call_id=made.id, content="1") for made in said.tool_calls]
    await ask(FIRST, said, *answers, model=again or model)
    sent: dict[str, Any] = next(m for m in server.requests[-1].body["messages"] if m["role"] == "assistant")
    return sent


@pytest.mark.parametrize(
    "model", ["openai/test", "deepseek/deepseek-reasoner", "moonshot/kimi-k2-thinking", "openrouter/x/y"]
)
async def test_reasoning_and_fields_of_its_own_go_back_to_a_provider(server: ModelServer, model: str) -> None:
    signed = {**CALL, "extra_content": {"google": {"thought_signature": "s"}}}
    details = [{"type": "reasoning.encrypted", "data": "secret"}]
    notes = [
        {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
    ]
    message = {
        "reasoning_content": "hm",
        "reasoning_details": details,
        "annotations": notes,
        "refusal": None,
        "tool_calls": [signed],
    }
    sent = await second_turn(server, message, model)
    assert sent["reasoning_content"] == "hm"
    assert sent["reasoning_details"] == details, "where the provider has put it"
    assert sent["annotations"] == notes
    assert sent["tool_calls"][0]["extra_content"] == signed["extra_content"]
    assert "provider_specific_fields" not in sent and "refusal" not in sent


async def test_another_provider_gets_nothing_of_it(server: ModelServer) -> None:
    message = {"reasoning_content": "hm", "tool_calls": [{**CALL, "extra_content": {"a": 1}}]}
    sent = await second_turn(server, message, "deepseek/deepseek-chat", again="openai/test")
    assert sent.keys() <= {"role", "content", "tool_calls"}
    assert sent["tool_calls"] == [CALL]


def test_thinking_goes_back_to_anthropic_with_its_signature() -> None:
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig

    from counterstep.activities.models.litellm_client import _extras_for

    block = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    said = ChatMessage(
        role="assistant",
        tool_calls=(ToolCall(id="toolu_1", name="look", arguments={}),),
        extras={"thinking_blocks": [block], "reasoning_content": "hm"},
        model="anthropic/claude-sonnet-4-5",
    )
    answer = ChatMessage(role="tool", tool_call_id="toolu_1", content="1")

    def extras(author: str, found: dict[str, Any]) -> dict[str, Any]:
        return _extras_for("anthropic/claude-sonnet-4-5", author, found)

    request = AnthropicConfig().transform_request(
        model="claude-sonnet-4-5",
        messages=wire_messages([FIRST, said, answer], extras),  # type: ignore[arg-type]
        optional_params={"max_tokens": 10},
        litellm_params={},
        headers={},
    )
    assert [part["type"] for part in request["messages"][1]["content"]] == ["thinking", "tool_use"]
    assert request["messages"][1]["content"][0] == block


async def test_what_goes_back_is_bounded(server: ModelServer) -> None:
    message = {"reasoning_content": "m" * 3 * MOST_EXTRAS, "blob": "x" * 100, "tool_calls": [CALL]}
    sent = await second_turn(server, message, "openai/test")
    assert 0 < len(sent["reasoning_content"]) < MOST_EXTRAS
    assert "blob" not in sent
    sent = await second_turn(server, {"blob": "x" * 2 * MOST_EXTRAS, "tool_calls": [CALL]}, "openai/test")
    assert sent.keys() <= {"role", "content", "tool_calls"}


def test_extras_count_into_the_size_of_a_conversation() -> None:
    plain = ChatMessage(role="assistant", content="x", tool_calls=(ToolCall(id="c", name="n"),))
    assert plain.size == len(
        '{"role":"assistant","content":"x","tool_calls":'
        '[{"id":"c","name":"n","arguments":null,"invalid":null}],"tool_call_id":null}'
    ), "as many as a task under way has counted"
    assert plain.model_copy(update={"extras": {"a": "y" * 1000}}).size > plain.size + 1000


# --- names and ids


def said(*calls: tuple[str, str]) -> list[ChatMessage]:
    made = tuple(ToolCall(id=id_, name=name, arguments={}) for id_, name in calls)
    answers = [ChatMessage(role="tool", tool_call_id=id_, content=name) for id_, name in calls]
    return [ChatMessage(role="assistant", tool_calls=made), *answers]


@pytest.mark.parametrize("name", ["desk.reserve", "", "räum auf!", "x" * 90, "functions.look:0", "..."])
def test_a_name_that_a_provider_refuses_is_mended(name: str) -> None:
    message = wire_messages(said(("c", name)))[0]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", message["tool_calls"][0]["function"]["name"])
    assert wire_messages(said(("c", "look")))[0]["tool_calls"][0]["function"]["name"] == "look"


def test_every_call_has_an_id_of_its_own_and_its_answer_the_same() -> None:
    turns = [
        *said(("call_0", "a"), ("call_0", "b"), ("", "c"), ("i d", "d")),
        *said(("call_0", "e"), ("y" * 70, "f"), ("call_1", "g"), ("good-1", "h")),
    ]
    written = wire_messages(turns)
    made = [made for message in written for made in message.get("tool_calls", ())]
    ids = [one["id"] for one in made]
    assert len(set(ids)) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", id_) for id_ in ids)
    assert (ids[0], ids[-1]) == ("call_0", "good-1"), "what is fine stays"
    answers = {
        message["tool_call_id"]: message["content"] for message in written if message["role"] == "tool"
    }
    assert [answers[one["id"]] for one in made] == [one["function"]["name"] for one in made]


def test_a_signature_in_an_id_stays_with_its_call() -> None:
    turn = said(("call_ab__thought__c2ln", "a"))
    (call, answer) = wire_messages(turn, lambda author, extras: extras)
    assert call["tool_calls"][0]["id"] == answer["tool_call_id"] == "call_ab"
    fields = call["tool_calls"][0]["provider_specific_fields"]
    assert fields == {"thought_signature": "c2ln"}
    assert (
        litellm.litellm_core_utils.prompt_templates.factory.get_thought_signature_from_tool(
            call["tool_calls"][0]
        )
        == "c2ln"
    )


@pytest.mark.parametrize("arguments", ["", "  ", "null", "{}", "[]", '""'])
async def test_empty_arguments_are_none(server: ModelServer, arguments: str) -> None:
    server.reply(Behaviour.calls(ScriptedCall("look", arguments)))
    (made,) = (await ask(FIRST)).tool_calls
    assert (made.arguments, made.invalid) == ({}, None)


async def test_arguments_that_are_written_as_text_once_more_are_read(server: ModelServer) -> None:
    server.reply(Behaviour.calls(ScriptedCall("look", json.dumps('{"q": "a"}'))))
    (made,) = (await ask(FIRST)).tool_calls
    assert (made.arguments, made.invalid) == ({"q": "a"}, None)


async def test_a_number_that_is_too_large_to_be_sent_is_no_null(server: ModelServer) -> None:
    server.reply(Behaviour.calls(ScriptedCall("look", '{"q": 1e999}')))
    (made,) = (await ask(FIRST)).tool_calls
    assert made.arguments is None and "not JSON" in (made.invalid or "")


@pytest.mark.parametrize("arguments", ["0", "false", "[1]", '"x"'])
async def test_arguments_that_are_something_else_are_told(server: ModelServer, arguments: str) -> None:
    server.reply(Behaviour.calls(ScriptedCall("look", arguments)))
    (made,) = (await ask(FIRST)).tool_calls
    assert made.arguments is None and "not a JSON object" in (made.invalid or "")
