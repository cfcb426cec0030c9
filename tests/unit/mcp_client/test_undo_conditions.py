"""Whether there is anything to undo is said by yes or no, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from counterstep import McpServer
from counterstep.compensations.mcp_compensations import mcp_compensations
from counterstep.mcp_client.listing import ForeignTool, Listing
from counterstep.mcp_client.offer import offer_of
from counterstep.mcp_client.requests import ServerRequests

TOOLS = {name: ForeignTool(name=name, input_schema={"type": "object"}) for name in ("write", "delete")}
WHO = {"idempotency_key": "k", "reason": "r", "step": "s", "task_id": "t"}
CALLED = {"input": {"path": "a"}, "output": {"id": 1}, **WHO}


async def undone(when: str) -> Any:
    said = {"write": {"undo": {"tool": "delete", "when": when}}}
    server = McpServer("files", command=["/no/such/program"], tools=said)
    (undo,) = mcp_compensations(offer_of([server], {"files": Listing(tools=TOOLS)}), ServerRequests())
    return await ActivityEnvironment().run(undo, CALLED)


async def test_nothing_is_asked_of_the_server_where_there_is_nothing_to_undo() -> None:
    assert await undone("arguments.path == 'b'") is None


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("arguments.path", "undo.when: 'arguments.path' must be true or false, not 'a'"),
        ("output", "undo.when: 'output' must be true or false, not {'id': 1}"),
    ],
)
async def test_an_answer_that_is_neither_yes_nor_no_is_an_error(when: str, told: str) -> None:
    with pytest.raises(ApplicationError) as caught:
        await undone(when)
    assert (caught.value.type, caught.value.message) == ("ExpressionError", told)
