"""Model calls that fail: what is worth a retry, when, what is said, and that nothing repeats in hiding."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep.activities.models.litellm_client import call_model
from counterstep.saga.agents.model_protocol import ChatMessage, ModelReply, ModelRequest
from counterstep.saga.errors import FailureType
from counterstep.testing.model_behaviour import Behaviour
from counterstep.testing.model_server import ModelServer

MODEL = "openai/test-model"
KEY = "sk-counterstep-0123456789abcdef"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


async def ask(*models: str, within: float | None = None) -> ModelReply:
    messages = (ChatMessage(role="user", content="What does A1 cost?"),)
    asked = ModelRequest(agent="shop.buyer", models=models or (MODEL,), messages=messages, timeout=within)
    return ModelReply.model_validate(
        await ActivityEnvironment().run(call_model, asked.model_dump(mode="json"))
    )


async def failure_of(*models: str, within: float | None = None) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await ask(*models, within=within)
    assert (caught.value.type == FailureType.MODEL_REFUSED) is caught.value.non_retryable
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_passing_failure_is_retryable_and_asked_once(server: ModelServer, status: int) -> None:
    server.default = Behaviour.error(status, "come back later")
    error = await failure_of()
    assert error.type == FailureType.MODEL_UNAVAILABLE
    assert error.message == f"{MODEL} ({status}): come back later"
    assert error.next_retry_delay is None
    assert server.count() == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_a_refusal_is_final_and_asked_once(server: ModelServer, status: int) -> None:
    server.default = Behaviour.error(status, "not like this")
    error = await failure_of()
    assert error.type == FailureType.MODEL_REFUSED
    assert error.message == f"{MODEL} ({status}): not like this"
    assert server.count() == 1


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (Behaviour.context_overflow(), "maximum context length"),
        (Behaviour.error(400, "the content policy", code="content_policy_violation"), "content policy"),
        (Behaviour.text("I can").with_(finish_reason="content_filter"), "content policy"),
        (
            Behaviour(
                body='{"id": "x", "object": "chat.completion", "model": "m", "choices": [{"index": 0, '
                '"finish_reason": "stop", "message": {"role": "assistant", "refusal": "I will not"}}]}'
            ),
            "I will not",
        ),
    ],
)
async def test_what_no_repetition_helps_is_final(
    server: ModelServer, behaviour: Behaviour, says: str
) -> None:
    server.default = behaviour
    error = await failure_of()
    assert error.type == FailureType.MODEL_REFUSED
    assert says in error.message
    assert server.count() == 1


@pytest.mark.parametrize(
    "behaviour", [Behaviour.broken_json(), Behaviour.empty_choices(), Behaviour.dropped()]
)
async def test_a_broken_answer_is_retryable_and_asked_once(server: ModelServer, behaviour: Behaviour) -> None:
    server.default = behaviour
    error = await failure_of()
    assert error.type == FailureType.MODEL_UNAVAILABLE
    assert error.message.startswith(MODEL)
    assert server.count() == 1


async def test_a_model_that_hangs_is_given_up_after_the_timeout(server: ModelServer) -> None:
    server.default = Behaviour.hang(60)
    started = time.monotonic()
    error = await failure_of(within=1.0)
    assert time.monotonic() - started < 30
    assert error.type == FailureType.MODEL_UNAVAILABLE
    assert "(408)" in error.message
    assert server.count() == 1


async def test_a_model_that_trickles_is_given_up_after_the_timeout(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(600):
            writer.write(b" ")
            await asyncio.sleep(0.1)

    slow = await asyncio.start_server(trickle, "127.0.0.1", 0)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}/v1")
    started = time.monotonic()
    error = await failure_of(within=0.5)
    assert time.monotonic() - started < 30
    assert error.type == FailureType.MODEL_UNAVAILABLE
    slow.close()


async def test_a_long_timeout_reaches_the_providers_client(server: ModelServer) -> None:
    server.default = Behaviour.text("ok")
    await ask(within=900.0)
    assert server.requests[0].headers["x-stainless-read-timeout"] == "900.0"


async def test_an_unreachable_provider_is_retryable(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert (await failure_of()).type == FailureType.MODEL_UNAVAILABLE


async def test_an_unknown_provider_and_a_missing_key_are_final(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await failure_of("nonsense")).type == FailureType.MODEL_REFUSED
    monkeypatch.delenv("OPENAI_API_KEY")
    error = await failure_of()
    assert error.type == FailureType.MODEL_REFUSED
    assert "OPENAI_API_KEY" in error.message and "(500)" not in error.message
    assert server.count() == 0


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("0.5", 0.5, 0.5),
        ("3600", 60, 60),
        ("inf", None, None),
        ("0", None, None),
        ("soon", None, None),
        (format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), 60, 60),
        (format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), None, None),
    ],
    ids=["seconds", "half a second", "an hour", "inf", "zero", "soon", "tomorrow", "yesterday"],
)
async def test_retry_after_sets_the_next_attempt(
    server: ModelServer, header: str, least: float | None, most: float | None
) -> None:
    server.reply(Behaviour.error(429, "slow down", retry_after=header))
    delay = (await failure_of()).next_retry_delay
    if least is None or most is None:
        assert delay is None
    else:
        assert delay is not None and least <= delay.total_seconds() <= most


async def test_retry_after_as_a_date_in_the_near_future(server: ModelServer) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    server.reply(Behaviour.error(503, "restarting", retry_after=date))
    delay = (await failure_of()).next_retry_delay
    assert delay is not None and 20 < delay.total_seconds() <= 50


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.error(500),
        Behaviour.refused_key(),
        Behaviour.error(400),
        Behaviour.broken_json(),
        Behaviour.empty_choices(),
        Behaviour.dropped(),
        Behaviour.hang(20),
    ],
)
async def test_any_failure_goes_on_to_the_next_model(server: ModelServer, behaviour: Behaviour) -> None:
    server.for_model("first").default = behaviour
    server.for_model("second").default = Behaviour.text("seven")
    reply = await ask("openai/first", "openai/second", "openai/third", within=1.0)
    assert (reply.model, reply.output, reply.usage.model_calls) == ("openai/second", "seven", 2)
    assert [request.model for request in server.requests] == ["first", "second"]


@pytest.mark.parametrize(
    ("statuses", "type"),
    [
        ((401, 503), FailureType.MODEL_UNAVAILABLE),
        ((503, 401), FailureType.MODEL_UNAVAILABLE),
        ((401, 400), FailureType.MODEL_REFUSED),
    ],
)
async def test_a_chain_is_worth_a_retry_if_one_of_its_models_is(
    server: ModelServer, statuses: tuple[int, int], type: FailureType
) -> None:
    for name, status in zip(("first", "second"), statuses, strict=True):
        server.for_model(name).default = Behaviour.error(status, f"reason of {name}")
    error = await failure_of("openai/first", "openai/second")
    assert error.type == type
    assert f"openai/first ({statuses[0]}): reason of first" in error.message
    assert f"openai/second ({statuses[1]}): reason of second" in error.message
    assert (server.count("first"), server.count("second")) == (1, 1)


@pytest.mark.parametrize(("second", "expected"), [("9", 9), ("", None)])
async def test_a_chain_waits_for_its_first_model_to_come_back(
    server: ModelServer, second: str, expected: float | None
) -> None:
    server.for_model("first").default = Behaviour.error(429, retry_after="30")
    server.for_model("second").default = Behaviour.error(503, retry_after=second)
    delay = (await failure_of("openai/first", "openai/second")).next_retry_delay
    assert (delay.total_seconds() if delay else None) == expected


@pytest.mark.parametrize(
    "quoted",
    [
        KEY,
        "sk-ant-api03-NotInTheEnvironment",
        "Bearer abcdef0123456789",
        "api_key=abcdef0123456789",
        "https://user:abcdef0123456789@proxy.example/v1",
        "https://models.example/v1?alt=json&key=abcdef0123456789",
        "hunter2-from-the-environment",
    ],
)
async def test_a_message_never_quotes_a_key(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, quoted: str
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2-from-the-environment")
    server.default = Behaviour.refused_key(quoted)
    error = await failure_of()
    everything = "".join(traceback.format_exception(error)) + repr(error.details)
    for secret in (KEY, "abcdef0123456789", "NotInTheEnvironment", "hunter2"):
        assert secret not in everything
    assert "Incorrect API key provided" in error.message and "[redacted]" in error.message


@pytest.mark.parametrize("models", [1, 3])
async def test_a_message_is_one_short_line(server: ModelServer, models: int) -> None:
    names = [f"openai/model-{number}" for number in range(models)]
    server.default = Behaviour.error(500, "very\nlong " * 400)
    message = (await failure_of(*names)).message
    assert len(message) <= 500
    assert "\n" not in message
    assert all(name in message for name in names)


def scripted(body: dict[str, Any]) -> Behaviour:
    return Behaviour.text(f"to {body['model']}")


async def test_a_success_is_asked_once(server: ModelServer) -> None:
    server.default = scripted
    assert (await ask("openai/first", "openai/second")).output == "to first"
    assert server.count() == 1
