"""A task of stock tools on rows, for the fault explorer, with rows of its own for each run."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    String,
    Table,
    create_engine,
    insert,
    select,
)

from counterstep import Bundle, Effect, current_step
from counterstep.stock import stock

__all__ = ["ledger", "prepare", "spec", "standing", "stock"]

ledger = Bundle("ledger")

_metadata = MetaData()
_lines = Table(
    "lines",
    _metadata,
    Column("task", String(80), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("text", String(40)),
)


@ledger.tool(effect=Effect.READ_ONLY)
def whose() -> str:
    """The id of the running task."""
    return current_step().task_id


def spec() -> dict[str, Any]:
    """Adds, changes and deletes rows."""
    mine = {"task": "${{ steps.whose.output }}"}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("insert_row", {"values": {**mine, "line": 4, "text": "added"}}),
        ("update_rows", {"where": {**mine, "text": "old"}, "values": {"text": "new"}}),
        ("delete_rows", {"where": {**mine, "line": 3}}),
    ]
    steps: list[dict[str, Any]] = [{"id": "whose", "tool": "ledger.whose"}]
    for number, (tool, given) in enumerate(calls, 1):
        before, step_input = steps[-1]["id"], {"table": "lines", **given}
        steps.append({"id": f"s{number}", "needs": [before], "tool": f"stock.{tool}", "input": step_input})
    return {"name": "ledger", "steps": steps}


def make_tables() -> None:
    """Makes the table."""
    _metadata.create_all(_engine())


def prepare(task_id: str) -> None:
    """Writes the first rows of a task."""
    texts = ["old", "old", "gone"]
    rows = [{"task": task_id, "line": number, "text": text} for number, text in enumerate(texts, 1)]
    with _engine().begin() as connection:
        connection.execute(insert(_lines), rows)


def standing(task_id: str) -> list[str]:
    """The rows of a task."""
    with _engine().begin() as connection:
        query = select(_lines.c.line, _lines.c.text).where(_lines.c.task == task_id)
        return [f"{line} {text}" for line, text in connection.execute(query)]


def _engine() -> Engine:
    address = os.environ["COUNTERSTEP_STOCK_DATABASE"].replace("postgresql:", "postgresql+psycopg:")
    connect: dict[str, Any] = {"timeout": 60} if address.startswith("sqlite") else {}
    return create_engine(address, poolclass=NullPool, connect_args=connect)
