"""Tasks as MCP tools: a client of others drives them to their end, over pipes and over HTTP."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitRequestParams, ElicitResult

from counterstep.embedded import EmbeddedServer
from counterstep.mcp_server.task_answer import TaskAnswer
from counterstep.mcp_server.task_desk import TaskDesk
from counterstep.tests.support.foreign.served import Orders

SERVED = "counterstep.tests.support.foreign.served:served"


def command(server: EmbeddedServer, queue: str, *more: str) -> list[str]:
    words = ["--bundle", SERVED, "--address", server.address, "--task-queue", queue, "--by", "ann", *more]
    return ["-m", "counterstep.cli", "mcp", *words]


@asynccontextmanager
async def piped(server: EmbeddedServer, queue: str, *more: str, **options: Any) -> AsyncIterator[Client]:
    """Connects to the command as an IDE does: it starts it, and talks to its input and output."""
    program = StdioServerParameters(
        command=sys.executable, args=command(server, queue, *more), env=dict(os.environ)
    )
    async with Client(stdio_client(program), **options) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Calls a tool that has to succeed; returns its structured content."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return dict(result.structured_content)


async def failure(client: Client, tool: str, **arguments: Any) -> str:
    """Calls a tool that has to fail; returns what it says."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


async def test_a_client_drives_a_task_with_an_approval_to_its_end(
    server: EmbeddedServer, worker: str, orders: Orders
) -> None:
    async with piped(server, worker) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == ["start_served_order", "watch_task", "decide", "cancel_task", "list_tasks"]
        begun = await call(
            client, "start_served_order", input={"sku": "pen", "usd": 50}, task_id=worker, seconds=20
        )
        assert (begun["state"], begun["is_new"]) == ("waiting", True)
        [question] = begun["waiting_for"]
        assert question["ask"] == "Pay 50?"
        assert orders.rows() == [("reserve pen", "done")]
        told = await failure(client, "decide", task_id=worker, step=question["step"], action="approve")
        assert "has to name the hash" in told
        ended = await call(
            client,
            "decide",
            task_id=worker,
            step=question["step"],
            action="approve",
            hash=question["hash"],
        )
        if ended["state"] != "completed":
            ended = await call(client, "watch_task", task_id=worker)
        listed = await call(client, "list_tasks")
    assert (ended["state"], ended["output"]) == ("completed", {"paid": "pay 50"})
    assert orders.rows() == [("reserve pen", "done"), ("pay 50", "done")]
    assert worker in [task["task_id"] for task in listed["tasks"]]


@pytest.mark.parametrize(("action", "paid"), [("accept", True), ("decline", False)])
async def test_a_client_with_forms_asks_its_person(
    server: EmbeddedServer, worker: str, orders: Orders, action: Any, paid: bool
) -> None:
    shown: list[str] = []

    async def ask(_: Any, asked: ElicitRequestParams) -> ElicitResult:
        shown.append(asked.message)
        return ElicitResult(action=action, content={"action": "approve"} if paid else None)

    async with piped(server, worker, elicitation_callback=ask) as client:
        ended = await call(client, "start_served_order", input={"sku": "pen", "usd": 50}, task_id=worker)
        if paid and ended["state"] != "completed":
            ended = await call(client, "watch_task", task_id=worker)
    assert len(shown) == 1
    assert shown[0].startswith("Pay 50?") and '"usd": 50' in shown[0]
    assert ended["state"] == ("completed" if paid else "waiting")
    assert ("pay 50", "done") in orders.rows() or not paid


@pytest.mark.long
async def test_a_person_is_asked_once_where_two_have_to_answer(
    server: EmbeddedServer, worker: str, orders: Orders
) -> None:
    shown: list[str] = []

    async def ask(_: Any, asked: ElicitRequestParams) -> ElicitResult:
        shown.append(asked.message.partition("\n")[0])
        return ElicitResult(action="accept", content={"action": "approve"})

    async with piped(server, worker, elicitation_callback=ask) as client:
        begun = await call(client, "start_served_order", input={"sku": "pen", "usd": 500}, task_id=worker)
        assert len(shown) == 1
        assert (begun["state"], [one["said"] for one in begun["waiting_for"]]) == ("waiting", [["ann"]])
        again = await call(client, "watch_task", task_id=worker)
        assert again["waiting_for"] == begun["waiting_for"] and len(shown) == 1
    async with piped(server, worker, "--by", "bob", elicitation_callback=ask) as client:
        ended = await call(client, "watch_task", task_id=worker)
        if ended["state"] != "completed":
            ended = await call(client, "watch_task", task_id=worker)
    assert (ended["state"], len(shown)) == ("completed", 2)


@pytest.mark.long
async def test_a_server_that_is_gone_loses_nothing_and_a_cancel_undoes(
    server: EmbeddedServer, worker: str, orders: Orders
) -> None:
    given = {"sku": "pen", "usd": 50}
    async with piped(server, worker) as client:
        await call(client, "start_served_order", input=given, task_id=worker)
    async with piped(server, worker) as client:
        again = await call(client, "start_served_order", input=given, task_id=worker)
        assert (again["state"], again["is_new"]) == ("waiting", False)
        other = await failure(client, "start_served_order", input={"sku": "ink", "usd": 1}, task_id=worker)
        assert "another input" in other
        ended = await call(client, "cancel_task", task_id=worker)
        assert (ended["state"], ended["undone"]) == ("cancelled", ["reserve"])
    assert orders.rows() == [("reserve pen", "undone")]


@pytest.mark.long
async def test_what_cannot_be_done_is_one_sentence(
    server: EmbeddedServer, worker: str, orders: Orders
) -> None:
    async with piped(server, worker) as client:
        faults = await failure(client, "start_served_order", input={"usd": "x", "colour": "red"})
        assert "sku" in faults and "usd" in faults and "colour" in faults
        assert "did you mean 'watch_task'" in await failure(client, "watch_tasks")
        unknown = await failure(client, "watch_task", task_id="no-such-task")
        assert unknown.startswith("There is no task 'no-such-task'")
        assert "seconds" in await failure(client, "watch_task", task_id="a", seconds=500)
        for id in ("", "x" * 1001):
            for name, given in (
                ("watch_task", {}),
                ("start_served_order", {"input": {"sku": "a", "usd": 5}}),
            ):
                told = await failure(client, name, task_id=id, **given)
                assert told.startswith("arguments.task_id: "), told
    assert orders.rows() == []


async def test_progress_is_told(server: EmbeddedServer, worker: str, orders: Orders) -> None:
    told: list[tuple[float, float | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total))

    async with piped(server, worker) as client:
        given = {"input": {"sku": "pen", "usd": 50}, "task_id": worker}
        await client.call_tool("start_served_order", given, progress_callback=progress)
    assert (1.0, 2.0) in told


@pytest.mark.long
async def test_over_http_with_a_token(server: EmbeddedServer, worker: str, orders: Orders) -> None:
    words = command(server, worker, "--http", "127.0.0.1:0")
    env = {**os.environ, "COUNTERSTEP_MCP_TOKEN": "sesame"}
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(sys.executable, *words, env=env, stderr=pipe)
    try:
        assert program.stderr is not None
        line = (await program.stderr.readline()).decode()
        url = line.rsplit(" ", 1)[1].strip()
        async with httpx2.AsyncClient() as bare:
            refused = await bare.post(url, json={})
            assert refused.status_code == 401 and "COUNTERSTEP_MCP_TOKEN" in refused.text
            evil = {"authorization": "Bearer sesame", "host": "evil.example"}
            assert (await bare.post(url, json={}, headers=evil)).status_code in (403, 421)
        async with (
            httpx2.AsyncClient(headers={"authorization": "Bearer sesame"}, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            ended = await call(client, "start_served_order", input={"sku": "pen", "usd": 5})
        port = url.rsplit(":", 1)[1].partition("/")[0]
        taken = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *command(server, worker, "--http", f"127.0.0.1:{port}")],
            env=env,
            capture_output=True,
            text=True,
        )
    finally:
        program.kill()
        await program.wait()
    assert ended["output"] == {"paid": "pay 5"}
    assert taken.stderr.strip() == f"127.0.0.1:{port} cannot be opened: Address already in use."


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--http", "0.0.0.0:1"], "set COUNTERSTEP_MCP_TOKEN"),
        (["--http", "nowhere"], "--http takes HOST:PORT, not 'nowhere'."),
    ],
)
async def test_a_bad_address_is_refused(words: list[str], told: str, server: EmbeddedServer) -> None:
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *command(server, "q", *words)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 2
    assert told in ended.stderr and "Traceback" not in ended.stderr


async def test_a_time_that_is_no_number_is_no_time_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unending:
        async def outcome(self) -> None:
            await asyncio.Event().wait()

    desk, at = object.__new__(TaskDesk), TaskAnswer(task_id="t", task="t", state="running")
    task: Any = Unending()

    async def seen(_: Any) -> TaskAnswer:
        return at

    async def tell(_: TaskAnswer) -> None:
        return

    monkeypatch.setattr(desk, "_seen", seen)
    async with asyncio.timeout(5):
        assert await desk._watched(task, float("nan"), tell) == at
