"""Tools of MCP servers in tasks: undone like any other, and no server can break a task."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from counterstep import Bundle, McpServer
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.histories.history import all_text_of
from counterstep.tests.support.mcp_servers.booking_bundles import BOOK, command, inn, rows
from counterstep.tests.support.mcp_servers.booking_workers import forked_worker, working
from counterstep.tests.support.mcp_servers.listening import free_port, until_listening
from counterstep.tests.support.processes.watching import alive, until
from counterstep.tests.support.tasks.tasks import Tasks, end_of, until_step

pytestmark = pytest.mark.long

BOOK_ROOM: dict[str, Any] = {
    "id": "room",
    "tool": "inn.book",
    "input": {"city": "Lisbon", "reference": "r1"},
}


async def test_a_booking_stays_or_is_undone_and_what_the_server_tells_is_read(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INN_TOKEN", "s3cret-t0ken")
    file = tmp_path / "inn.sqlite"
    bundle = inn(file, env={"BOOKINGS_TOKEN": "env:INN_TOKEN"})
    async with working(server.address, task_queue, bundle) as tasks:
        handle = await tasks.start(
            [
                {"id": "rules", "tool": "inn.read_resource", "input": {"uri": "rules://house"}},
                {
                    "id": "ask",
                    "tool": "inn.get_prompt",
                    "input": {"name": "ask_for", "arguments": {"city": "Rome"}},
                },
                {"id": "who", "tool": "inn.whoami", "input": {}},
                {
                    "id": "room",
                    "tool": "inn.book",
                    "input": {"city": "Lisbon", "reference": "${{ steps.rules.output.contents[0].text }}"},
                },
            ],
            output={
                "room": "${{ steps.room.output }}",
                "who": "${{ steps.who.output.result }}",
                "ask": "${{ steps.ask.output.messages[0].content.text }}",
            },
        )
        done = await end_of(handle)
        undone = await tasks.run(
            [
                BOOK_ROOM,
                {
                    "id": "again",
                    "needs": ["room"],
                    "tool": "inn.book",
                    "input": {"city": "Atlantis", "reference": "r2"},
                },
            ]
        )
    assert done.type == "completed", done.message
    assert done.output["room"] == {"id": 1, "city": "Lisbon", "reference": "no shoes"}
    assert done.output["ask"] == "a room in Rome, please"
    assert done.output["who"].startswith("token [redacted], process ")
    told = await all_text_of(handle)
    assert "[redacted], process" in told and "s3cret-t0ken" not in told
    assert undone.type == "SagaRolledBack"
    assert undone.failure["step"] == "again" and undone.failure["type"] == "McpFailed"
    assert undone.details["undone"] == ["again", "room"], "an error is no proof that nothing was booked"
    assert rows(file) == [("Lisbon", "no shoes")]
    await until(lambda: not alive(int(done.output["who"].rpartition(" ")[2])))  # it ends with the worker


async def test_a_server_with_an_address_is_called_and_undone(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INN_TOKEN", "s3cret-t0ken")
    file = tmp_path / "inn.sqlite"
    port = free_port()
    program = await asyncio.create_subprocess_exec(*command(file, "--port", str(port)))
    try:
        await until_listening(port)
        bundle = Bundle("travel")
        url, headers = f"http://127.0.0.1:{port}/mcp", {"Authorization": "Bearer env:INN_TOKEN"}
        bundle.add(McpServer("inn", url=url, headers=headers, tools={"book": BOOK}))
        async with working(server.address, task_queue, bundle) as tasks:
            assert (await tasks.run([BOOK_ROOM])).type == "completed"
            again = {"id": "again", "needs": ["room"], "tool": "inn.book"}
            fails = {**again, "input": {"city": "Atlantis", "reference": "r2"}}
            room = {**BOOK_ROOM, "input": {"city": "Rome", "reference": "r3"}}
            assert (await tasks.run([room, fails])).type == "SagaRolledBack"
    finally:
        program.kill()
        await program.wait()
    assert rows(file) == [("Lisbon", "r1")]


@pytest.mark.slow
async def test_a_worker_that_is_killed_takes_its_servers_with_it_and_the_booking_is_undone(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, client: Client
) -> None:
    file = tmp_path / "inn.sqlite"
    made = "counterstep.tests.support.mcp_servers.booking_bundles:inn"
    worker = await forked_worker(server.address, task_queue, made, file, tmp_path / "told")
    try:
        tasks = Tasks(client, task_queue)
        handle = await tasks.start(
            [
                {"id": "who", "tool": "inn.whoami", "input": {}},
                {
                    **BOOK_ROOM,
                    "needs": ["who"],
                    "input": {"city": "Nowhere", "reference": "r1"},
                    "timeout": "20s",
                },
            ]
        )
        await until_step(handle, "room", "running")
        await until(lambda: rows(file) == [("Nowhere", "r1")])
        who = (await handle.query("board"))["steps"]["who"]["output"]["result"]
    finally:
        worker.kill()
        worker.wait()
    await until(lambda: not alive(int(who.rpartition(" ")[2])))
    assert rows(file) == [("Nowhere", "r1")]
    async with working(server.address, task_queue, inn(file)):
        end = await end_of(handle)
    assert end.type == "SagaRolledBack"
    assert "attempt 1 of inn.book was lost" in end.failure["message"]
    assert rows(file) == [], "made once, and undone"


@pytest.mark.slow
async def test_hostile_servers_fail_a_step_and_nothing_is_done(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    file = tmp_path / "inn.sqlite"
    travel, names = Bundle("travel"), ("floods", "chatters", "dies", "hangs")
    for name in names:
        travel.add(McpServer(name, command=command(file, name), tools={"book": BOOK}))
    where = {"reference": "r1"}

    async with working(server.address, task_queue, travel) as tasks:
        # The programs are started by the first call, which takes its time on a busy machine.
        first = [{"id": name, "tool": f"{name}.whoami", "input": {}, "timeout": "60s"} for name in names]
        assert (await tasks.run(first)).type == "completed"
        steps: dict[str, dict[str, Any]] = {
            "floods": {"tool": "floods.list_bookings", "input": where},
            "chatters": {"tool": "chatters.list_bookings", "input": where, "timeout": "40s"},
            "hangs": {"tool": "hangs.wait", "input": {"seconds": 60}, "timeout": "2s"},
            "dies": {"tool": "dies.book", "input": {"city": "Lisbon", **where}},
        }
        running = [tasks.run([{"id": "a", "retry": {"attempts": 1}, **step}]) for step in steps.values()]
        ends = dict(zip(steps, await asyncio.gather(*running), strict=True))
        other = await tasks.run(
            [{"id": "who", "tool": "hangs.whoami", "input": {}}], output={"a": "${{ steps.who.output }}"}
        )
    assert other.type == "completed", "others go on"
    assert {end.type for end in ends.values()} == {"SagaRolledBack"}
    assert {name: end.failure["type"] for name, end in ends.items()} == {
        "floods": "McpFailed",
        "chatters": "McpFailed",
        "hangs": "Timeout",
        "dies": "McpFailed",
    }
    assert ends["dies"].details["undone"] == ["a"]
    assert rows(file) == []


async def test_a_server_that_changes_its_tools_is_not_called(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    file = tmp_path / "inn.sqlite"
    async with working(server.address, task_queue, inn(file, "swaps")) as tasks:
        (tmp_path / "inn.sqlite.swapped").touch()
        end = await tasks.run([BOOK_ROOM])
    assert end.type == "SagaRolledBack"
    assert end.failure["type"] == "NotApplied"
    assert (
        "inn.book has another schema, or other annotations since the worker started" in end.failure["message"]
    )
    assert end.details["undone"] == []
    assert rows(file) == []
