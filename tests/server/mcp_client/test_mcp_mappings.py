"""What is said of the tools of an MCP server holds in tasks: keys, approvals, output schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from counterstep import Bundle, McpServer
from counterstep.embedded import EmbeddedServer
from counterstep.saga.ledger.idempotency import idempotency_key
from counterstep.tests.support.histories.history import all_text_of
from counterstep.tests.support.mcp_servers.booking_bundles import BOOK, BOOK_ONCE, command, key_of, rows
from counterstep.tests.support.mcp_servers.booking_workers import working
from counterstep.tests.support.tasks.tasks import end_of, tell, until_asked

pytestmark = pytest.mark.long

ROOM: dict[str, Any] = {"id": "room", "tool": "inn.book", "input": {"city": "Lisbon", "reference": "r1"}}
CANCEL = {"effect": "pivot", "approval": {"ask": "Cancel booking ${{ arguments.id }}?"}}
LAST = {"id": "last", "needs": ["room"], "tool": "inn.cancel", "input": {"id": "${{ steps.room.output.id }}"}}


async def answer(handle: WorkflowHandle[Any, Any], action: str) -> None:
    (question,) = (await handle.query("board"))["waiting_for"]
    await tell(handle, "decide", step="last", action=action, hash=question["hash"])


async def test_a_key_goes_to_the_server_and_a_person_is_asked_before_what_nothing_undoes(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    file = tmp_path / "inn.sqlite"
    travel = Bundle("travel")
    tools = {"book": BOOK, "book_once": BOOK_ONCE, "cancel": CANCEL}
    travel.add(McpServer("inn", command=command(file), tools=tools))
    async with working(server.address, task_queue, travel) as tasks:
        once = {**ROOM, "tool": "inn.book_once", "input": {"city": "Rome", "reference": "r0"}}
        handle = await tasks.start([once])
        assert (await end_of(handle)).type == "completed"
        key = idempotency_key(handle.result_run_id or "", "room", 1)
        assert key_of(file, "r0") == key
        assert f'"key": "{key}"' not in await all_text_of(handle), "nobody but the server is given it"

        asked = await tasks.start([ROOM, LAST])
        await until_asked(asked, "last", "Cancel booking 2?")
        assert rows(file) == [("Rome", "r0"), ("Lisbon", "r1")]
        await answer(asked, "reject")
        end = await end_of(asked)
        assert (end.type, end.failure["type"]) == ("SagaRolledBack", "ApprovalDenied")
        assert end.details["undone"] == ["room"]
        assert rows(file) == [("Rome", "r0")]

        asked = await tasks.start([ROOM, LAST])
        await until_asked(asked, "last")
        await answer(asked, "approve")
        assert (await end_of(asked)).type == "completed"
        assert rows(file) == [("Rome", "r0")], "booked, and cancelled by the step"


async def test_servers_that_answer_against_their_schema_or_change_in_the_middle(
    server: EmbeddedServer, task_queue: str, tmp_path: Path
) -> None:
    file = tmp_path / "inn.sqlite"
    travel = Bundle("travel")
    for name in ("inn", "garbles"):
        travel.add(McpServer(name, command=command(file, name, "prints"), tools={"book": BOOK}))
    async with working(server.address, task_queue, travel) as tasks:
        garbled = await tasks.run([ROOM, {**ROOM, "id": "bad", "needs": ["room"], "tool": "garbles.book"}])
        assert garbled.type == "SagaRolledBack"
        assert garbled.failure["type"] == "InvalidOutput"
        assert "'seven' is not of type 'integer'" in garbled.failure["message"]
        assert garbled.details["undone"] == ["bad", "room"]
        assert rows(file) == []

        swap = {"id": "swap", "needs": ["room"], "tool": "inn.swap", "input": {}}
        again = {**ROOM, "id": "again", "needs": ["swap"]}
        changed = await tasks.run([ROOM, swap, again])
        assert changed.type == "SagaRolledBack"
        assert (changed.failure["step"], changed.failure["type"]) == ("again", "NotApplied")
        assert changed.failure["message"].endswith(
            "inn.book has another schema, or other annotations since the worker started; it was not called. "
            "Restart the worker to take the tools as they are now."
        )
        assert changed.details["undone"] == ["room"]
    assert rows(file) == []
