"""A task of MCP tools for the fault explorer: a server that knows keys, and one that does not."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from counterstep import Bundle, Effect, McpServer, current_step
from counterstep.tests.support.mcp_servers.booking_bundles import BOOK, BOOK_ONCE, command

FILE = "COUNTERSTEP_TEST_INN"

travel = Bundle("travel")
travel.add(
    McpServer(
        "inn",
        command=command(os.environ.get(FILE, "inn.sqlite")),
        tools={"book": BOOK, "book_once": BOOK_ONCE},
    )
)


@travel.tool(effect=Effect.READ_ONLY)
def whose() -> str:
    """The id of the running task."""
    return current_step().task_id


def spec() -> dict[str, Any]:
    """Books twice."""
    mine = {"city": "Rome", "reference": "${{ steps.whose.output }}"}
    return {
        "name": "stay",
        "steps": [
            {"id": "whose", "tool": "travel.whose"},
            {"id": "once", "needs": ["whose"], "tool": "inn.book_once", "input": mine},
            {"id": "room", "needs": ["once"], "tool": "inn.book", "input": mine},
        ],
    }


def standing(task_id: str) -> list[str]:
    """The keys of what is booked for a task; for a made-up task of the contract's all keys."""
    file = Path(os.environ[FILE])
    if not file.exists():
        return []
    with sqlite3.connect(file, timeout=30) as db:
        everything = task_id.startswith("contract-")
        query = "select key from bookings where ? or reference = ?"
        return [key for (key,) in db.execute(query, (everything, task_id))]
