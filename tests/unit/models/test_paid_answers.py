"""An answer that was paid for is counted and never asked for again, whatever is in it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models.litellm_client import call_model
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest, ToolSchema
from counterstep.saga.errors import FailureType
from counterstep.saga.limits.payload_size import MAX_PAYLOAD
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer

TOOL = ToolSchema(name="look", description="Looks.", parameters={"type": "object"})
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
LISTS = "[" * 198 + "]" * 198
"""JSON that is read as an argument, and is too deep where that argument stands in a reply."""


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


async def ask(*models: str, attempt: int = 1, told: list[Any] | None = None, **fields: Any) -> ModelReply:
    """Asks as an activity does in one of its attempts; `told` is what the attempt before has told."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, attempt=attempt, heartbeat_details=(told or [])[-1:]
    )
    environment.payload_converter = pydantic_data_converter.payload_converter
    if told is not None:
        environment.on_heartbeat = told.append
    asked = ModelRequest(
        agent="a",
        models=models or ("openai/test",),
        messages=(ChatMessage(role="user", content="x"),),
        tools=(TOOL,),
        **fields,
    )
    return ModelReply.model_validate(await environment.run(call_model, asked.model_dump(mode="json")))


@pytest.mark.parametrize(
    ("message", "output"),
    [
        ({"content": "half an emoji \ud83d"}, "half an emoji �"),
        ({"content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}, "hello"),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hello"}]}, "hello"),
        ({"content": 5}, "5"),
        ({"content": {"a": 1}}, '{"a": 1}'),
        ({"content": "hello", "tool_calls": [{"id": "c", "type": "function"}]}, "hello"),
        ({"content": "hello", "reasoning_content": "\udc00"}, "hello"),
    ],
)
async def test_an_odd_answer_is_read(server: ModelServer, message: dict[str, Any], output: str) -> None:
    server.reply(Behaviour.message(**message))
    reply = await ask()
    assert reply.output == output
    assert (reply.usage.model_calls, reply.usage.input_tokens, reply.usage.output_tokens) == (1, 10, 5)
    assert server.count() == 1


@pytest.mark.parametrize(
    ("message", "finish_reason"),
    [
        ({"content": None}, ""),
        ({"tool_calls": [{**CALL, "function": {"name": "look", "arguments": f'{{"a": {LISTS}}}'}}]}, ""),
        ({"content": "x" * MAX_PAYLOAD}, ""),
        ({"content": "half a sen"}, "length"),
    ],
)
async def test_an_answer_that_is_of_no_use_is_a_reply_that_says_so(
    server: ModelServer, message: dict[str, Any], finish_reason: str
) -> None:
    server.reply(Behaviour.message(finish_reason=finish_reason, **message))
    reply = await ask()
    assert (reply.output, reply.tool_calls) == (None, ())
    assert reply.invalid
    assert (reply.usage.model_calls, reply.usage.output_tokens) == (1, 5)
    assert len(json.dumps(reply.model_dump(mode="json"))) < MAX_PAYLOAD


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1},
        {"completion_tokens": -7},
        {"prompt_tokens": None},
        {"completion_tokens": "5"},
        {"prompt_tokens": 10**30},
    ],
)
async def test_a_usage_that_cannot_be_is_estimated(server: ModelServer, usage: dict[str, Any]) -> None:
    server.reply(Behaviour.message(content="hello", usage=usage))
    reply = await ask()
    assert reply.output == "hello"
    assert 0 < reply.usage.input_tokens < 100 and 0 < reply.usage.output_tokens < 100


@pytest.mark.parametrize(
    "details",
    [
        {"prompt_tokens_details": {"cached_tokens": -900}},
        {"prompt_tokens_details": {"cached_tokens": 900}},
        {"completion_tokens_details": {"reasoning_tokens": 900}},
    ],
)
async def test_parts_of_a_usage_that_cannot_be_change_no_price(
    server: ModelServer, details: dict[str, Any]
) -> None:
    server.reply(Behaviour.message(content="hello", usage=details))
    assert (await ask("openai/gpt-4o-mini")).usage.usd == pytest.approx(10 * 0.15e-6 + 5 * 0.6e-6)


@pytest.mark.parametrize("choices", [[], None, {}])
async def test_an_answer_without_choices_that_was_paid_for_is_not_asked_again(
    server: ModelServer, choices: Any
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    server.reply(Behaviour(body=json.dumps({"id": "x", "model": "x", "choices": choices, "usage": usage})))
    with pytest.raises(ApplicationError, match="an answer without choices") as raised:
        await ask()
    assert (raised.value.type, raised.value.non_retryable) == ("ModelRefused", True)
    spent = raised.value.details[0]["spent"]
    assert (spent["model_calls"], spent["input_tokens"], spent["output_tokens"]) == (1, 10, 5)


@pytest.mark.parametrize(
    ("finish_reason", "says"),
    [
        ("LENGTH", "max_tokens"),
        ("model_length", "max_tokens"),
        ("max_output_tokens", "max_tokens"),
        ("error", "broke off"),
        ("insufficient_system_resource", "broke off"),
        ("abort", "broke off"),
    ],
)
async def test_an_answer_that_was_cut_off_is_not_whole_whatever_its_provider_calls_that(
    server: ModelServer, finish_reason: str, says: str
) -> None:
    server.reply(Behaviour.message(finish_reason=finish_reason, content="half a sen"))
    reply = await ask()
    assert reply.output is None and says in (reply.invalid or "")
    server.reply(Behaviour.message(finish_reason=finish_reason, content=None, tool_calls=[CALL]))
    (made,) = (await ask()).tool_calls
    assert made.arguments is None and says in (made.invalid or "")


@pytest.mark.parametrize("finish_reason", ["stop", "eos_token", "end_turn", "COMPLETE", "zzz"])
async def test_an_answer_with_any_other_end_is_whole(server: ModelServer, finish_reason: str) -> None:
    server.reply(Behaviour.message(finish_reason=finish_reason, content="hello"))
    assert (await ask()).output == "hello"


async def test_calls_that_were_cut_off_are_none(server: ModelServer) -> None:
    server.reply(Behaviour.message(tool_calls=[CALL], finish_reason="length"))
    (made,) = (await ask()).tool_calls
    assert made.arguments is None
    assert "cut off" in (made.invalid or "") and "max_tokens" in (made.invalid or "")


async def test_max_tokens_is_sent(server: ModelServer) -> None:
    server.default = Behaviour.text("ok")
    await ask(max_tokens=77)
    assert server.requests[0].body["max_tokens"] == 77
    await ask()
    assert "max_tokens" not in server.requests[1].body


async def test_what_runs_past_its_timeout_names_what_helps(server: ModelServer) -> None:
    server.default = Behaviour.hang(20)
    with pytest.raises(ApplicationError, match=r"no answer within 0\.5 s; .*max_tokens.*timeout") as caught:
        await ask(timeout=0.5)
    assert caught.value.type == FailureType.MODEL_UNAVAILABLE
    assert caught.value.details[0]["spent"]["model_calls"] == 1


# --- failures


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.error(429, "no more of this", code="insufficient_quota"),
        Behaviour.error(429, "You exceeded your current quota, please check your plan and billing details."),
        Behaviour.error(402, "Insufficient Balance"),
        Behaviour.error(400, "Your credit balance is too low to access the API."),
        Behaviour.error(429, "suspended", code="exceeded_current_quota_error"),
        Behaviour.error(500, "Billing hard limit has been reached", code="billing_hard_limit_reached"),
        Behaviour.error(429, "Your team has used all available credits or reached its spending limit."),
        Behaviour.error(429, "You have reached your specified API usage limits; access is back on 1 May."),
    ],
)
async def test_a_quota_that_is_used_up_is_refused_for_good(server: ModelServer, behaviour: Behaviour) -> None:
    server.default = behaviour
    with pytest.raises(ApplicationError) as caught:
        await ask()
    assert (caught.value.type, caught.value.non_retryable) == (FailureType.MODEL_REFUSED, True)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.error(429, "Rate limit reached for requests per minute."),
        Behaviour.error(429, "You exceeded your current quota. Please retry in 12.5s."),
        Behaviour.error(429, "You exceeded your current quota, check your plan.", retry_after="3"),
    ],
)
async def test_a_rate_limit_passes(server: ModelServer, behaviour: Behaviour) -> None:
    server.default = behaviour
    with pytest.raises(ApplicationError) as caught:
        await ask()
    assert caught.value.type == FailureType.MODEL_UNAVAILABLE


async def test_a_refusal_is_counted_with_what_it_cost(server: ModelServer) -> None:
    server.for_model("gpt-4o-mini").default = Behaviour.message(content="no", finish_reason="content_filter")
    server.for_model("gpt-4o").default = Behaviour.message(content=None, refusal="I will not.")
    with pytest.raises(ApplicationError) as caught:
        await ask("openai/gpt-4o-mini", "openai/gpt-4o")
    spent = caught.value.details[0]["spent"]
    assert (spent["model_calls"], spent["input_tokens"], spent["output_tokens"]) == (2, 20, 10)
    price = 10 * 0.15e-6 + 5 * 0.6e-6 + 10 * 2.5e-6 + 5 * 10e-6
    assert spent["usd"] == pytest.approx(price)


async def test_the_next_attempt_goes_on_counting_and_asks_nobody_again_who_has_refused(
    server: ModelServer,
) -> None:
    told: list[Any] = []
    server.for_model("first").default = Behaviour.message(content="no", finish_reason="content_filter")
    server.for_model("second").reply(Behaviour.error(503), Behaviour.text("at last"))
    with pytest.raises(ApplicationError) as caught:
        await ask("openai/first", "openai/second", told=told)
    assert caught.value.type == FailureType.MODEL_UNAVAILABLE
    reply = await ask("openai/first", "openai/second", attempt=2, told=told)
    assert (reply.output, [request.model for request in server.requests]) == (
        "at last",
        ["first", "second", "second"],
    )
    assert (reply.usage.model_calls, reply.usage.input_tokens) == (3, 20)


async def test_an_attempt_of_which_nothing_is_known_counts_as_a_request(server: ModelServer) -> None:
    server.default = Behaviour.text("ok")
    assert (await ask(attempt=3)).usage.model_calls == 3
