"""Requests that a process has written, through the real model client to a provider over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from counterstep.activities.models import litellm_client
from counterstep.activities.models.hosted.hosted_bodies import HostedBodies
from counterstep.activities.models.model_chain import PaidAnswer, PreparedRequest
from counterstep.activities.models.model_failure import ModelFailure
from counterstep.saga.agents.hosted_body import Dialect, HostedBody
from counterstep.saga.agents.model_protocol import ChatMessage, ModelRequest
from counterstep.saga.limits.unpriced import IGNORED
from counterstep.tests.support.foreign.provider import ANSWER, CLAUDE, MODEL, Provider, provider

SAID = [{"role": "user", "content": "Hello."}]
BODIES: dict[Dialect, dict[str, Any]] = {
    "chat": {"messages": SAID},
    "responses": {"input": SAID},
    "messages": {"messages": SAID, "max_tokens": 50},
}
EACH = [("chat", MODEL), ("chat", CLAUDE), ("responses", MODEL), ("messages", CLAUDE), ("messages", MODEL)]
KEY = "model:0:1"
UNREADABLE = "has answered with what cannot be read; it is paid for, and not asked again"


@pytest.fixture
def paid(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The provider that the worker's environment names."""
    with provider() as played:
        played.plan = ()
        for name, value in played.environment.items():
            monkeypatch.setenv(name, value)
        yield played


async def ask(
    dialect: Dialect, model: str, body: dict[str, Any], bodies: HostedBodies | None = None
) -> PaidAnswer | ModelFailure:
    """Sends a body, as the activity does."""
    bodies = HostedBodies() if bodies is None else bodies
    bodies.put(KEY, dialect, body)
    hosted = HostedBody(key=KEY, dialect=dialect, input_tokens=1000)
    request = ModelRequest(agent="a", models=(model,), messages=(), hosted=hosted, timeout=20)
    prepared = litellm_client.dialects.prepare(model, request, bodies, IGNORED)
    assert isinstance(prepared, PreparedRequest)
    return await prepared.send()


async def answered(dialect: Dialect, model: str, body: dict[str, Any]) -> PaidAnswer:
    outcome = await ask(dialect, model, body)
    assert isinstance(outcome, PaidAnswer), outcome
    return outcome


@pytest.mark.parametrize(("dialect", "model"), EACH)
@pytest.mark.parametrize(
    "names",
    [
        ("api_base", "base_url"),
        ("api_key", "extra_headers", "headers"),
        ("mock_response",),
        ("fallbacks", "num_retries", "model_list", "custom_llm_provider"),
        ("input_cost_per_token", "output_cost_per_token"),
    ],
)
async def test_a_request_sets_nothing_of_the_model_client(
    paid: Provider, dialect: Dialect, model: str, names: tuple[str, ...]
) -> None:
    with provider() as another:
        evil = {
            "api_base": f"{another.url}/v1",
            "base_url": f"{another.url}/v1",
            "api_key": "sk-forged",
            "custom_llm_provider": "openai",
            "extra_headers": {"authorization": "Bearer forged", "x-api-key": "forged"},
            "headers": {"x-evil": "1"},
            "mock_response": "for nothing",
            "fallbacks": ["openai/gpt-5"],
            "num_retries": 3,
            "model_list": [{"model_name": model, "litellm_params": {"api_base": another.url}}],
            "input_cost_per_token": 0,
            "output_cost_per_token": 0,
        }
        outcome = await answered(dialect, model, {**BODIES[dialect], **{name: evil[name] for name in names}})
        assert not another.paid
    assert ANSWER in json.dumps(outcome.read().output)
    [one] = paid.paid
    shown = {one.headers.get("authorization"), one.headers.get("x-api-key")}
    assert shown <= {None, "Bearer sk-provider", "sk-ant-provider"}
    assert "x-evil" not in one.headers
    if model == CLAUDE:
        assert outcome.usage.usd == pytest.approx(100 * 3e-6 + 20 * 15e-6)


@pytest.mark.parametrize("dialect", ["chat", "responses"])
async def test_fields_that_nobody_knows_go_to_providers_with_openais_interface(
    paid: Provider, dialect: Dialect
) -> None:
    more = {"guided_choice": ["yes", "no"], "top_k": 3, "service_tier": "flex", "stream": True}
    await answered(dialect, MODEL, {**BODIES[dialect], **more})
    [one] = paid.paid
    assert (one.body["guided_choice"], one.body["top_k"]) == (["yes", "no"], 3)
    assert one.body["service_tier"] == "flex"
    assert one.body["model"] == "travel-model" and not one.body.get("stream")


async def test_what_cannot_be_told_to_a_provider_is_in_the_log(
    paid: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    await answered("messages", CLAUDE, {**BODIES["messages"], "guided_choice": ["yes"]})
    assert f"{CLAUDE} is not told the fields guided_choice" in caplog.text


async def test_anthropics_betas_go_in_its_header(paid: Provider) -> None:
    betas = ["context-management-2025-06-27", "interleaved-thinking-2025-05-14"]
    await answered("messages", CLAUDE, {**BODIES["messages"], "betas": betas})
    [one] = paid.paid
    assert set(betas) <= {name.strip() for name in one.headers["anthropic-beta"].split(",")}
    assert "betas" not in one.body


@pytest.mark.parametrize("dialect", ["chat", "messages"])
async def test_cached_tokens_are_counted_once_and_at_their_own_prices(
    paid: Provider, monkeypatch: pytest.MonkeyPatch, dialect: Dialect
) -> None:
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 10_000,
        "cache_creation_input_tokens": 1_000,
        "output_tokens": 20,
    }
    answer = {**Provider().answer("messages", {"messages": [], "model": "claude-sonnet-4-5"}), "usage": usage}
    monkeypatch.setattr(paid, "answer", lambda *_: answer)
    outcome = await answered(dialect, CLAUDE, {**BODIES[dialect], "max_tokens": 50})
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (11_100, 20)
    usd = 100 * 3e-6 + 10_000 * 0.3e-6 + 1_000 * 3.75e-6 + 20 * 15e-6
    assert outcome.usage.usd == pytest.approx(usd)


@pytest.mark.parametrize(("dialect", "model"), [("chat", MODEL), ("responses", MODEL), ("messages", CLAUDE)])
async def test_halves_of_surrogate_pairs_are_no_reason_to_lose_an_answer(
    paid: Provider, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, model: str
) -> None:
    whole = json.dumps(Provider(plan=()).answer(dialect, {**BODIES[dialect], "model": "m"}))
    broken = json.loads(whole.replace(ANSWER, "Hi \\ud83d"))
    monkeypatch.setattr(paid, "answer", lambda *_: broken)
    output = (await answered(dialect, model, BODIES[dialect])).read().output
    assert "Hi \ufffd" in json.dumps(output, ensure_ascii=False)
    json.dumps(output, ensure_ascii=False).encode()


@pytest.mark.parametrize("status", [400, 401, 429, 500])
@pytest.mark.parametrize(("dialect", "model"), EACH)
async def test_a_refusal_has_the_status_and_the_words_of_the_provider(
    paid: Provider, dialect: Dialect, model: str, status: int
) -> None:
    paid.fails = status
    bodies = HostedBodies()
    outcome = await ask(dialect, model, BODIES[dialect], bodies)
    assert isinstance(outcome, ModelFailure)
    assert outcome.retryable == (status in (429, 500))
    _, refusal = bodies.take(KEY)
    assert refusal is not None and refusal.status == status
    assert "as scripted" in refusal.message


async def test_an_answer_that_the_client_cannot_read_is_paid_and_told(
    paid: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Provider().answer("chat", {**BODIES["chat"], "model": "m"})
    answer["choices"][0]["message"] = {"content": "hello", "tool_calls": [{"id": "c", "type": "function"}]}
    monkeypatch.setattr(paid, "answer", lambda *_: answer)
    outcome = await answered("chat", MODEL, BODIES["chat"])
    assert outcome.read().output["choices"][0]["message"]["content"] == "hello"
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (100, 20)


@pytest.mark.parametrize(("dialect", "model"), [("chat", MODEL), ("responses", MODEL), ("messages", CLAUDE)])
async def test_an_answer_that_is_nested_too_deeply_is_paid_and_not_asked_for_again(
    paid: Provider, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, model: str
) -> None:
    answer = Provider(plan=()).answer(dialect, {**BODIES[dialect], "model": "m"})
    deep = json.loads("[" * 700 + "]" * 700)
    if dialect == "chat":
        answer["choices"][0]["message"]["reasoning_details"] = deep
    elif dialect == "responses":
        answer["metadata"] = {"deep": deep}
    else:
        answer["content"] = [{"type": "tool_use", "id": "t", "name": "t", "input": {"deep": deep}}]
    monkeypatch.setattr(paid, "answer", lambda *_: answer)
    outcome = await answered(dialect, model, BODIES[dialect])
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (100, 20)
    assert outcome.read().invalid == f"{model} {UNREADABLE}"


async def test_what_was_answered_in_another_dialect_and_cannot_be_read_is_paid(
    paid: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Provider().answer("messages", {"messages": [], "model": "claude-sonnet-4-5"})
    monkeypatch.setattr(paid, "answer", lambda *_: {**answer, "content": "text"})
    outcome = await answered("responses", CLAUDE, BODIES["responses"])
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (100, 20)
    assert outcome.read().invalid == f"{CLAUDE} {UNREADABLE}"


async def test_an_answer_that_is_no_response_may_have_been_paid(
    paid: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paid, "answer", lambda *_: {"hello": 1})
    outcome = await ask("responses", MODEL, BODIES["responses"])
    assert isinstance(outcome, ModelFailure)
    assert (outcome.retryable, outcome.may_have_cost) == (False, True)


@pytest.mark.parametrize(
    ("dialect", "model", "change"),
    [
        ("chat", MODEL, {"messages": [None]}),
        ("chat", CLAUDE, {"messages": [None]}),
        ("chat", MODEL, {"response_format": 5}),
        ("chat", CLAUDE, {"tools": [{"type": "function"}]}),
        ("chat", CLAUDE, {"max_tokens": "5"}),
        ("responses", CLAUDE, {"reasoning": 5}),
    ],
)
async def test_a_body_that_cannot_be_sent_is_not_an_outage_of_the_provider(
    paid: Provider, dialect: Dialect, model: str, change: dict[str, Any]
) -> None:
    outcome = await ask(dialect, model, {**BODIES[dialect], **change})
    assert isinstance(outcome, ModelFailure)
    assert (outcome.status, outcome.retryable, outcome.may_have_cost) == (400, False, False)
    assert outcome.reason.startswith("the request cannot be written: ")
    assert "Traceback" not in outcome.told and not paid.paid


async def test_what_is_nested_too_deeply_is_no_reason_to_lose_the_answer_to_an_agent(
    paid: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Provider(plan=()).answer("chat", {**BODIES["chat"], "model": "m"})
    answer["choices"][0]["message"]["reasoning_details"] = json.loads("[" * 700 + "]" * 700)
    monkeypatch.setattr(paid, "answer", lambda *_: answer)
    said = ChatMessage(role="user", content="Hello.")
    request = ModelRequest(agent="a", models=(MODEL,), messages=(said,), timeout=20)
    reply = await litellm_client.call_model(request.model_dump(mode="json"))
    assert (reply["content"], reply["usage"]["input_tokens"]) == (ANSWER, 100)
