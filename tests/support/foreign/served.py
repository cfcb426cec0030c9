"""A bundle whose tasks are served to others: what they do is rows, and one of their calls needs a yes."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from counterstep import Approval, Bundle, Undo, current_step

ORDERS = "SERVED_ORDERS"
"""The variable with the path of the database."""

served = Bundle("served")


class Orders:
    """The rows of the database."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[tuple[str, str]]:
        """Returns what was done, and its state."""
        with _open(str(self.path)) as db:
            return db.execute("select what, state from orders order by rowid").fetchall()


def _open(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=20, isolation_level=None)
    db.execute("create table if not exists orders(key text primary key, what text, state text)")
    return db


def note(what: str) -> str:
    """Adds a row for the call that runs, once."""
    with _open(os.environ[ORDERS]) as db:
        key = current_step().idempotency_key
        db.execute("insert or ignore into orders values(?, ?, 'done')", (key, what))
    return what


def take_back_of(key: str) -> None:
    """Takes back the row of a call."""
    with _open(os.environ[ORDERS]) as db:
        db.execute("update orders set state='undone' where key=?", (key,))


@served.compensation
def take_back(undo: Undo[str]) -> None:
    """Takes back what was noted."""
    take_back_of(undo.idempotency_key)


@served.tool(compensate=take_back)
def reserve(sku: str, seconds: float = 0) -> str:
    """Reserves an article."""
    noted = note(f"reserve {sku}")
    time.sleep(seconds)
    return noted


@served.tool(
    compensate=take_back, approval=Approval(when="arguments.usd > 10.0", ask="Pay ${{ arguments.usd }}?")
)
def pay(usd: float) -> str:
    """Pays."""
    return note(f"pay {usd:g}")


_STEPS: list[dict[str, Any]] = [
    {"id": "reserve", "tool": "served.reserve", "input": {"sku": "${{ task.sku }}"}},
    {"id": "pay", "needs": ["reserve"], "tool": "served.pay", "input": {"usd": "${{ task.usd }}"}},
]

served.add_task(
    {
        "name": "order",
        "goal": "Buy one article.",
        "input": {
            "type": "object",
            "required": ["sku", "usd"],
            "additionalProperties": False,
            "properties": {"sku": {"type": "string"}, "usd": {"type": "number"}},
        },
        "steps": _STEPS,
        "approvals": [
            {"tool": "served.pay", "when": "arguments.usd > 100.0", "ask": "So much?", "people": 2}
        ],
        "output": {"paid": "${{ steps.pay.output }}"},
    }
)
