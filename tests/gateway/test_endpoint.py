"""The address of a process: who is let in, what is spoken there, and what is refused how."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from counterstep.saga.agents.foreign.host_protocol import HostAnswer, HostRefusal
from counterstep.tests.support.foreign.opened_endpoint import ASKED, JOB, TOKEN, Run, opened
from counterstep.tests.support.processes.watching import until


async def test_a_request_is_passed_on_with_the_full_name_of_its_model() -> None:
    run = Run()
    async with opened(run) as client:
        answer = await client.post("/v1/chat/completions", json=ASKED)
    assert answer.status_code == 200 and answer.json()["id"] == "a"
    [(key, dialect, model, body)] = run.asked
    assert (dialect, model, body) == ("chat", "openai/gpt-5-mini", ASKED)
    assert key.startswith("model:") and key.split(":")[2] == "1"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": TOKEN[:-1]},
        {"authorization": "", "x-api-key": "the-token-of-another-run"},
        {"authorization": f"Basic {TOKEN}"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/mcp", "/"])
async def test_who_does_not_show_the_token_is_told_so_and_nothing_else(
    headers: dict[str, str], path: str
) -> None:
    run = Run()
    async with opened(run) as client:
        answer = await client.post(path, json=ASKED, headers=headers)
    assert answer.status_code == 401
    assert "COUNTERSTEP_TOKEN" in answer.json()["error"]["message"]
    assert not run.asked


async def test_a_page_of_another_site_is_not_let_in() -> None:
    async with opened(Run()) as client:
        answer = await client.post("/v1/responses", json={}, headers={"host": "evil.example"})
    assert answer.status_code == 421


async def test_anthropics_clients_show_it_in_their_own_way() -> None:
    run = Run()
    run.answer = HostAnswer(value={"type": "message", "content": []})
    async with opened(run) as client:
        answer = await client.post(
            "/v1/messages",
            json={"model": "claude", "messages": [], "max_tokens": 5},
            headers={"authorization": "", "x-api-key": TOKEN},
        )
        counted = await client.post("/v1/messages/count_tokens", json={"model": "claude", "messages": []})
    assert answer.status_code == 200
    assert run.asked[0][1:3] == ("messages", "anthropic/claude")
    assert counted.json()["input_tokens"] > 0


async def test_another_model_is_refused_with_those_that_there_are() -> None:
    run = Run()
    async with opened(run) as client:
        answer = await client.post("/v1/chat/completions", json={**ASKED, "model": "gpt-5"})
        listed = await client.get("/v1/models")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (403, "false")
    assert answer.json()["error"]["message"].endswith("there are: openai/gpt-5-mini, anthropic/claude")
    assert [one["id"] for one in listed.json()["data"]] == [*JOB.models]
    assert not run.asked


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/assistants", "/sse", "/v1/embeddings"])
async def test_an_old_dialect_is_told_what_is_spoken_here(path: str) -> None:
    async with opened(Run()) as client:
        answer = await client.post(path, json={})
    assert answer.status_code == 404
    assert f"{path} is not spoken. Here are POST /v1/chat/completions" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("/v1/chat/completions", b"{", "the body is not JSON"),
        ("/v1/chat/completions", b"[1]", "the body is not a JSON object"),
        ("/v1/chat/completions", b"[" * 100_000, "the body is not JSON"),
        ("/v1/chat/completions", b'{"messages": [], "temperature": NaN}', "the body is not JSON"),
        ("/v1/chat/completions", b'{"messages": [], "temperature": 1e999}', "the body is not JSON"),
        ("/v1/chat/completions", b'{"messages": [{}, null]}', "messages[1] has to be an object"),
        ("/v1/responses", b'{"input": [5], "tools": [5]}', "input[0] has to be an object"),
        ("/v1/responses", b'{"input": "?", "metadata": 5}', "metadata has to be an object"),
        ("/v1/responses", b'{"previous_response_id": "r"}', "there is no answer 'r' in this run"),
        ("/v1/responses", b'{"conversation": "c"}', "conversation is kept by a provider"),
        ("/v1/responses", b'{"background": true}', "background is kept by a provider"),
        ("/v1/responses", b'{"previous_response_id": ["r"]}', "previous_response_id has to be a text"),
        ("/v1/responses", b'{"input": 5}', "input has to be a text or a list"),
        ("/v1/messages", b'{"messages": []}', "max_tokens has to be a number"),
        (
            "/v1/messages",
            b'{"model": "claude", "max_tokens": 5, "messages": [{"a": ' + b"[" * 900 + b"]" * 900 + b"}]}",
            "the body is nested too deeply",
        ),
        (
            "/v1/chat/completions",
            b'{"messages": "?", "stream_options": "all", "tools": {}}',
            "messages has to be a list; tools has to be a list; stream_options has to be an object",
        ),
    ],
)
async def test_a_request_that_cannot_be_read_is_refused(path: str, content: bytes, told: str) -> None:
    run = Run()
    async with opened(run) as client:
        answer = await client.post(path, content=content)
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]
    assert not run.asked


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "openai/gpt-5"}]},
        {"models": ["openai/gpt-5"]},
        {"fallbacks": ["openai/gpt-5"]},
    ],
)
async def test_what_asks_another_model_is_refused(more: dict[str, Any]) -> None:
    run = Run()
    async with opened(run) as client:
        answer = await client.post("/v1/chat/completions", json={**ASKED, **more})
    assert answer.status_code == 403
    assert "are not taken: " in answer.json()["error"]["message"]
    assert "openai/gpt-5" in answer.json()["error"]["message"]
    assert not run.asked


async def test_the_betas_that_a_client_of_anthropics_names_go_with_its_request() -> None:
    run = Run()
    run.answer = HostAnswer(value={"type": "message", "content": []})
    body = {"model": "claude", "messages": [], "max_tokens": 5, "betas": ["forged\r\nx-evil: 1"]}
    async with opened(run) as client:
        await client.post("/v1/messages", json=body, headers={"anthropic-beta": "a-2025-01-01, b_2"})
        await client.post("/v1/messages", json=body)
    assert [asked[3]["betas"] for asked in run.asked] == [["a-2025-01-01", "b_2"], []]
    first, second = (asked[0].split(":")[1] for asked in run.asked)
    assert first == second


async def test_a_text_that_was_cut_off_in_the_middle_of_a_character_is_passed_on() -> None:
    run = Run()
    async with opened(run) as client:
        cut = b'{"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hi \\ud83d"}]}'
        answer = await client.post("/v1/chat/completions", content=cut)
    assert answer.status_code == 200
    assert run.asked[0][3]["messages"] == [{"role": "user", "content": "Hi \ufffd"}]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages/count_tokens"])
async def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_error(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(Run()) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: 20\r\n\r\n{{}}".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.1)
        assert (await client.get("/v1/models")).status_code == 200
    assert "Exception" not in caplog.text


async def test_a_body_that_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterstep.activities.gateway.endpoint.MOST_BYTES", 1000)
    async with opened(Run()) as client:
        answer = await client.post("/v1/chat/completions", content=b"x" * 5000)
    assert "has at most 1000 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("path", "is_anthropic"), [("/v1/chat/completions", False), ("/v1/messages", True)])
async def test_a_refusal_is_written_as_the_client_reads_it(path: str, is_anthropic: bool) -> None:
    run = Run()
    run.answer = HostAnswer(refusal=HostRefusal(type="BudgetExceeded", message="used up", status=402))
    async with opened(run) as client:
        answer = await client.post(path, json={**ASKED, "model": "claude", "max_tokens": 5})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (402, "false")
    assert answer.json()["error"]["message"] == "used up"
    assert (answer.json().get("type") == "error") == is_anthropic


async def test_a_client_that_gives_up_and_asks_again_gets_the_request_that_is_under_way() -> None:
    run = Run()
    run.hold = asyncio.Event()
    async with opened(run) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/chat/completions", json=ASKED, timeout=0.3)
        async with asyncio.timeout(10):
            again = asyncio.create_task(client.post("/v1/chat/completions", json=ASKED))
            await until(lambda: len(run.asked) == 2)
        run.hold.set()
        assert (await again).status_code == 200
        await client.post("/v1/chat/completions", json=ASKED)
    first, second, third = (asked[0] for asked in run.asked)
    assert first == second != third


async def test_a_stream_is_made_of_the_whole_answer() -> None:
    run = Run()
    message = {"role": "assistant", "content": "Hi."}
    run.answer = HostAnswer(value={"id": "a", "choices": [{"index": 0, "message": message}]})
    async with opened(run) as client:
        answer = await client.post("/v1/chat/completions", json={**ASKED, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"content": "Hi."' in answer.text and answer.text.endswith("data: [DONE]\n\n")


async def test_tools_are_offered_and_called_over_mcp() -> None:
    run = Run()
    run.answer = HostAnswer(value='{"id": 7}')
    async with (
        opened(run) as http,
        httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as transport,
        Client(streamable_http_client(f"{http.base_url}/mcp", http_client=transport)) as client,
    ):
        listed = await client.list_tools()
        good = await client.call_tool("book", {"city": "Rome"})
        unknown = await client.call_tool("boook", {})
        run.answer = HostAnswer(value='{"error": "sold out"}', is_error=True)
        bad = await client.call_tool("book", {"city": "Rome"})
        run.answer = HostAnswer(refusal=HostRefusal(type="RunOver", message="it is over", status=409))
        late = await client.call_tool("book", {"city": "Rome"})
    assert [tool.name for tool in listed.tools] == ["book"]
    texts = [getattr(result.content[0], "text", "") for result in (good, unknown, bad, late)]
    assert texts[0] == '{"id": 7}' and not good.is_error
    assert texts[1] == "there is no tool 'boook'; did you mean 'book'?" and unknown.is_error
    assert texts[2] == '{"error": "sold out"}' and bad.is_error
    assert texts[3] == "RunOver: it is over" and late.is_error
    assert [asked[1:] for asked in run.asked] == [("book", {"city": "Rome"})] * 3
    assert [asked[0].rpartition(":")[2] for asked in run.asked] == ["1", "2", "3"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_a_tool_is_not_called_with_what_is_no_number_of_json(number: str) -> None:
    run = Run()
    run.answer = HostAnswer(value="ok")
    params = {"name": "book", "arguments": {"n": "NUMBER"}}
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    accept = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    async with opened(run) as client:
        answer = await client.post("/mcp", content=call.replace('"NUMBER"', number), headers=accept)
    result = answer.json()["result"]
    assert result["isError"] and "neither NaN nor Infinity" in result["content"][0]["text"]
    assert not run.asked


async def test_a_conversation_that_is_left_to_the_provider_is_sent_whole() -> None:
    run = Run()
    call = {"type": "function_call", "call_id": "c", "name": "book", "arguments": "{}"}
    run.answer = HostAnswer(value={"id": "resp_1", "output": [call]})
    result = {"type": "function_call_output", "call_id": "c", "output": "7"}
    async with opened(run) as client:
        await client.post("/v1/responses", json={"model": "gpt-5-mini", "input": "Book."})
        more = {"model": "gpt-5-mini", "input": [result], "previous_response_id": "resp_1"}
        await client.post("/v1/responses", json=more)
    sent = run.asked[1][3]
    assert sent["input"] == [{"role": "user", "content": "Book."}, call, result]
    assert "previous_response_id" not in sent
