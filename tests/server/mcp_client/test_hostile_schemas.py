"""Schemas of MCP servers that nobody could check in his lifetime: the call fails, and its worker goes on."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from counterstep import Bundle, McpServer
from counterstep.embedded import EmbeddedServer
from counterstep.tests.support.mcp_servers import lists_anything
from counterstep.tests.support.mcp_servers.booking_workers import working
from counterstep.tests.support.processes.watching import until
from counterstep.tests.support.tasks.tasks import end_of

TWICE = {"properties": {"of": {"$ref": "#/$defs/twice"}}}
SCHEMAS: dict[str, dict[str, Any]] = {
    "each level is checked twice": {
        "properties": {"a": {"$ref": "#/$defs/twice"}},
        "$defs": {"twice": {"allOf": [TWICE, TWICE]}},
    },
    "each item is compared with each": {"properties": {"a": {"uniqueItems": True}}},
}


def nested(depth: int) -> dict[str, Any]:
    """An object in an object, and so on."""
    return {} if not depth else {"of": nested(depth - 1)}


ANSWERS: dict[str, Any] = {
    "each level is checked twice": {"a": nested(40)},
    "each item is compared with each": {"a": [{"number": number} for number in range(30_000)]},
}


@pytest.mark.parametrize("kind", SCHEMAS)
async def test_a_check_without_an_end_fails_its_call_and_nothing_else(
    server: EmbeddedServer, task_queue: str, tmp_path: Path, kind: str
) -> None:
    reads = {"inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}
    bad = {"name": "bad", "outputSchema": {"type": "object", **SCHEMAS[kind]}, **reads}
    result = {"content": [], "structuredContent": ANSWERS[kind]}
    files = tmp_path / "tools.json", tmp_path / "answers.json"
    files[0].write_text(json.dumps([{"name": "good", **reads}, bad]))
    files[1].write_text(json.dumps({"good": {"content": []}, "bad": result}))
    bundle = Bundle("travel")
    bundle.add(McpServer("site", command=[sys.executable, lists_anything.__file__, *map(str, files)]))
    async with working(server.address, task_queue, bundle) as tasks:
        handle = await tasks.start([{"id": "bad", "tool": "site.bad", "input": {}}])
        await until(lambda: "counterstep-schema" in names_of_threads())
        assert (await tasks.run([{"id": "good", "tool": "site.good", "input": {}}])).type == "completed"
        end = await end_of(handle)
        await until(lambda: "counterstep-schema" not in names_of_threads())
    assert (end.type, end.failure["type"]) == ("SagaRolledBack", "InvalidOutput")
    assert end.failure["message"] == (
        "site.bad: output: cannot be checked within 2 s: its schema asks for too much"
    )


def names_of_threads() -> set[str]:
    """The names of the threads that are running."""
    return {thread.name for thread in threading.enumerate()}
