"""Streams whose answer takes its time: clients are told that it comes, or that it does not after all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import httpx
import openai
import pytest

from counterstep.saga.agents.foreign.host_protocol import HostAnswer, HostRefusal
from counterstep.tests.support.foreign.opened_endpoint import ASKED, TOKEN, Run, opened
from counterstep.tests.support.processes.watching import until

pytestmark = pytest.mark.long

READ_TIMEOUT = 2.0
MESSAGE = {"role": "assistant", "content": "Hi."}
USED_UP = HostAnswer(refusal=HostRefusal(type="BudgetExceeded", message="used up", status=402))


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("endpoint", "late_stream"):
        monkeypatch.setattr(f"counterstep.activities.gateway.{user}.PATIENCE", 0.2)


class SlowRun(Run):
    """A run that answers after a while that is longer than its clients wait for a byte."""

    def __init__(self, answer: HostAnswer) -> None:
        super().__init__()
        self.answer = answer

    async def model(self, key: str, dialect: str, model: str, body: dict[str, Any]) -> HostAnswer:
        answer = await super().model(key, dialect, model, body)
        await asyncio.sleep(1.5 * READ_TIMEOUT)
        return answer


def client_of(http: httpx.AsyncClient) -> openai.AsyncOpenAI:
    """OpenAI's client, without patience."""
    return openai.AsyncOpenAI(
        base_url=f"{http.base_url}/v1", api_key=TOKEN, timeout=READ_TIMEOUT, max_retries=0
    )


async def test_openais_client_waits_for_a_slow_completion() -> None:
    run = SlowRun(HostAnswer(value={"id": "a", "choices": [{"index": 0, "message": MESSAGE}]}))
    async with opened(run) as http, client_of(http) as client:
        stream = await client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "?"}], stream=True
        )
        said = [chunk.choices[0].delta.content async for chunk in stream]
    assert "Hi." in said
    assert len(run.asked) == 1


async def test_openais_client_waits_for_a_slow_response_and_goes_on_with_it() -> None:
    run = SlowRun(
        HostAnswer(value={"id": "resp_1", "object": "response", "output": [], "status": "completed"})
    )
    async with opened(run) as http, client_of(http) as client:
        stream = await client.responses.create(model="gpt-5-mini", input="?", stream=True)
        assert [event.type async for event in stream][-1] == "response.completed"
        more = await client.responses.create(
            model="gpt-5-mini", input="Go on.", previous_response_id="resp_1", stream=True
        )
        assert [event.type async for event in more][-1] == "response.completed"
    assert len(run.asked) == 2


async def test_anthropics_clients_are_sent_the_ping_that_they_know() -> None:
    run = SlowRun(HostAnswer(value={"id": "m", "type": "message", "role": "assistant", "content": []}))
    body = {"model": "claude", "messages": [], "max_tokens": 5, "stream": True}
    async with opened(run) as http:
        answer = await http.post("/v1/messages", json=body, timeout=READ_TIMEOUT)
    events = [block.splitlines() for block in answer.text.strip().split("\n\n")]
    assert events[0] == events[1] == ["event: ping", 'data: {"type": "ping"}']
    assert [event[0] for event in events if event[0] != "event: ping"] == [
        "event: message_start",
        "event: message_delta",
        "event: message_stop",
    ]


async def test_a_refusal_that_comes_late_ends_the_stream_as_an_error() -> None:
    run = SlowRun(USED_UP)
    async with opened(run) as http, client_of(http) as client:
        completion = await client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "?"}], stream=True
        )
        with pytest.raises(openai.APIError, match="used up"):
            [chunk async for chunk in completion]
        response = await client.responses.create(model="gpt-5-mini", input="?", stream=True)
        with pytest.raises(openai.APIError, match="used up"):
            [event async for event in response]
        body = {"model": "claude", "messages": [], "max_tokens": 5, "stream": True}
        name, data = (await http.post("/v1/messages", json=body)).text.strip().split("\n")[-2:]
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["error"]["message"] == "used up"


async def test_a_refusal_that_comes_at_once_has_its_status() -> None:
    run = Run()
    run.answer = USED_UP
    async with opened(run) as http:
        answer = await http.post("/v1/chat/completions", json={**ASKED, "stream": True})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (402, "false")


async def test_who_leaves_a_stream_and_asks_again_gets_the_request_that_is_under_way() -> None:
    run = Run()
    run.hold = asyncio.Event()
    async with opened(run) as http:
        for seconds in (0.1, 0.5):  # before the stream has begun, and after that
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await http.post("/v1/chat/completions", json={**ASKED, "stream": True})
            await asyncio.sleep(0.3)
        again = asyncio.create_task(http.post("/v1/chat/completions", json=ASKED))
        await until(lambda: len(run.asked) == 3)
        run.hold.set()
        assert (await again).status_code == 200
    assert len({asked[0] for asked in run.asked}) == 1
