"""Bundles that offer the tools of the MCP server `bookings`, and the rows that it has written."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

from counterstep import Bundle, McpServer

SERVER = Path(__file__).with_name("bookings.py")

BOOK: dict[str, Any] = {
    "before": {"tool": "list_bookings", "input": {"reference": "${{ arguments.reference }}"}},
    "undo": {
        "tool": "cancel",
        # After a kill there is no output; what is there now and was not there before is what was booked.
        "input": {"id": "${{ now.bookings.filter(b, !before.bookings.exists(o, o.id == b.id))[0].id }}"},
        "when": "now.bookings.exists(b, !before.bookings.exists(o, o.id == b.id))",
    },
}


BOOK_ONCE: dict[str, Any] = {
    "key": "key",
    "idempotent": True,
    "undo": {"tool": "give_up", "input": {"key": "${{ key }}"}},
}


def command(file: Path | str, *faults: str) -> list[str]:
    return [sys.executable, str(SERVER), str(file), *faults]


def inn(file: Path | str, *faults: str, tools: dict[str, Any] | None = None, **options: Any) -> Bundle:
    """A bundle with the server, and with `book` undone by `cancel` unless something else is said."""
    bundle = Bundle("travel")
    said = {"book": BOOK} if tools is None else tools
    bundle.add(McpServer("inn", command=command(file, *faults), tools=said, **options))
    return bundle


def rows(file: Path) -> list[tuple[str, str]]:
    """City and reference of each booking; none before the server has made its table."""
    if not file.exists():
        return []
    with sqlite3.connect(file) as db:
        if db.execute("select 1 from sqlite_master where name = 'bookings'").fetchone() is None:
            return []
        return db.execute("select city, reference from bookings order by id").fetchall()


def key_of(file: Path, reference: str) -> str:
    """The idempotency key that the server was given with a booking."""
    with sqlite3.connect(file) as db:
        (key,) = db.execute("select key from bookings where reference = ?", (reference,)).fetchone()
    return str(key)
