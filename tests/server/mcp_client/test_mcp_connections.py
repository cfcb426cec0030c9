"""Connections to MCP servers: they outlive what ends beside them, and nothing outlives their workers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle, McpServer
from counterstep.embedded import EmbeddedServer
from counterstep.plugin import CounterstepPlugin
from counterstep.tests.support.mcp_servers.booking_bundles import BOOK, command, inn, rows
from counterstep.tests.support.mcp_servers.booking_workers import working
from counterstep.tests.support.mcp_servers.listening import free_port, until_listening
from counterstep.tests.support.mcp_servers.session_server import SessionServer
from counterstep.tests.support.processes.forward_proxy import ForwardProxy
from counterstep.tests.support.processes.watching import alive, until
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_step

WHO: dict[str, Any] = {"id": "who", "tool": "inn.whoami", "input": {}}
ROOM: dict[str, Any] = {
    "id": "room",
    "needs": ["who"],
    "tool": "inn.book",
    "input": {"city": "Nowhere", "reference": "r1"},
}


async def test_a_worker_that_ends_leaves_the_connections_of_another_one(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    file = tmp_path / "inn.sqlite"
    client = await Client.connect(server.address, plugins=[CounterstepPlugin([inn(file)], inline_specs=True)])
    async with Worker(client, task_queue=task_queue):
        async with Worker(client, task_queue=f"{task_queue}-other"):
            handle = await Tasks(client, task_queue).start([WHO, ROOM])
            await until_step(handle, "room", "running")
            await until(lambda: rows(file))
        # The other worker has ended, in the middle of the booking.
        (tmp_path / "inn.sqlite.released").touch()
        assert (await end_of(handle)).type == "completed"
        who = (await handle.query("board"))["steps"]["who"]["output"]["result"]
        assert alive(int(who.rpartition(" ")[2]))
    await until(lambda: not alive(int(who.rpartition(" ")[2])))
    assert rows(file) == [("Nowhere", "r1")]


@pytest.mark.slow
async def test_a_server_with_an_address_is_found_again_after_its_restart(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    file, port = tmp_path / "inn.sqlite", free_port()
    start = command(file, "--port", str(port))
    program = await asyncio.create_subprocess_exec(*start)
    await until_listening(port)
    bundle = Bundle("travel")
    bundle.add(McpServer("inn", url=f"http://127.0.0.1:{port}/mcp", tools={"book": BOOK}))
    room = {**ROOM, "needs": [], "input": {"city": "Rome", "reference": "r1"}}
    try:
        async with working(server.address, task_queue, bundle) as tasks:
            assert (await tasks.run([room])).type == "completed"
            program.kill()
            await program.wait()
            down = await tasks.run([{**room, "retry": {"attempts": 2, "initial": "100ms"}}])
            assert (down.type, down.failure["type"]) == ("SagaRolledBack", "NotApplied")
            assert "All connection attempts failed" in down.failure["message"]
            assert down.details["undone"] == []
            program = await asyncio.create_subprocess_exec(*start)
            await until_listening(port)
            assert (await tasks.run([room])).type == "completed"
    finally:
        program.kill()
        await program.wait()
    assert rows(file) == [("Rome", "r1")] * 2


async def test_sessions_that_are_forgotten_and_errors_of_http(
    server: EmbeddedServer, task_queue: str
) -> None:
    with SessionServer().serving() as site:
        bundle = Bundle("travel")
        undo = {"tool": "drop", "input": {}, "when": "now != before"}
        put = {"before": {"tool": "look", "input": {}}, "undo": undo}
        bundle.add(McpServer("site", url=site.url, tools={"put": put}))
        step = {"id": "put", "tool": "site.put", "input": {}, "retry": {"attempts": 2, "initial": "10ms"}}
        async with working(server.address, task_queue, bundle) as tasks:
            assert (await tasks.run([step])).type == "completed"
            site.sessions.clear()
            assert (await tasks.run([step])).type == "completed", "as after a restart"
            assert site.things == 2

            # What only reads is asked again; the first call of a task is the look before it.
            site.fails, site.looked = [503], 0
            assert (await tasks.run([step])).type == "completed"
            assert (site.looked, site.things) == (2, 3)

            # What changes something is not, and undone.
            site.fails = [200, 500]
            failed = await tasks.run([step])
            assert (failed.type, failed.failure["type"]) == ("SagaRolledBack", "McpFailed")
            assert failed.failure["message"] == (
                "MCP server site: it has answered HTTP 500 Internal Server Error: <html>"
            )
            assert failed.details["undone"] == ["put"]
            assert site.things == 3

            site.fails = [200, 403]
            refused = await tasks.run([step])
            assert (refused.type, refused.failure["type"]) == ("SagaRolledBack", "NotApplied")
            assert refused.details["undone"] == []
            assert site.things == 3


async def test_a_server_is_reached_through_the_proxy_of_the_environment(
    server: EmbeddedServer, task_queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("KEY_OF_THE_SITE", "s3cret-in-an-address")
    with SessionServer().serving() as site, ForwardProxy().serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        bundle = Bundle("travel")
        address = f"{site.url}?key=env:KEY_OF_THE_SITE"
        bundle.add(McpServer("far", url=address.replace("127.0.0.1", "mcp.example")))
        bundle.add(McpServer("near", url=address))
        async with working(server.address, task_queue, bundle) as tasks:
            assert (await tasks.run([{"id": "look", "tool": "far.look", "input": {}}])).type == "completed"
            assert (await tasks.run([{"id": "look", "tool": "near.look", "input": {}}])).type == "completed"
            # Some requests of the far one's session are sent when its call has ended already.
            assert set(proxy.hosts) == {"mcp.example"}
    assert site.looked == 2
    assert "s3cret-in-an-address" not in caplog.text
