"""A bundle whose tasks are started by events, and whose effects are rows of an SQLite file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from temporalio.client import Client
from temporalio.worker import Worker

from counterstep import Bundle, Effect, Undo, current_step
from counterstep.stock import stock
from counterstep.tests.support.processes.worker_process import serve
from counterstep.worker import stock_plugin

VARIABLE = "COUNTERSTEP_TEST_PARCELS"
"""Names the SQLite file; workers in other processes inherit it."""

parcels = Bundle("parcels")


class Rows:
    """What a test reads from the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(_open()) as db, db:
            db.execute("create table sent (key text primary key, what text, task text)")

    def sent(self) -> list[tuple[str, str]]:
        """What was sent, with the task that has sent it, in order."""
        with closing(_open()) as db:
            return db.execute("select what, task from sent order by rowid").fetchall()


def _open() -> sqlite3.Connection:
    return sqlite3.connect(os.environ[VARIABLE], timeout=30)


class Paid(BaseModel):
    order: int
    gift: bool = False
    amount: float = 0


@parcels.tool(compensate="call_back")
def send(what: str) -> str:
    """Sends a parcel: one row for each call."""
    step = current_step()
    with closing(_open()) as db, db:
        db.execute("insert or ignore into sent values (?, ?, ?)", (step.idempotency_key, what, step.task_id))
    return what


@parcels.compensation
def call_back(undo: Undo[str]) -> None:
    with closing(_open()) as db, db:
        db.execute("delete from sent where key = ?", (undo.idempotency_key,))


@parcels.tool(effect=Effect.READ_ONLY)
def nothing() -> None:
    """Does nothing."""


def _task(name: str, reads: str, **more: Any) -> dict[str, Any]:
    steps = [{"id": "send", "tool": "parcels.send", "input": {"what": f"${{{{ {reads} }}}}"}}]
    return {"name": name, "steps": [*steps, *more.pop("then", [])], **more}


_NUMBER = {"type": "object", "required": ["order"], "properties": {"order": {"type": "integer"}}}

parcels.add_task(_task("pack", "'order ' + string(task.order)", input=_NUMBER))
parcels.add_task(_task("ship", "'parcel ' + string(task['order.paid'].order)"))
parcels.add_task(_task("wrap", "task.what"))
parcels.add_task(
    _task(
        "ping",
        "'ping ' + string(task.turn)",
        output="${{ steps.again.output }}",
        then=[
            {
                "id": "again",
                "needs": ["send"],
                "tool": "stock.publish",
                "input": {"topic": "ping.done", "payload": {"turn": "${{ task.turn + 1 }}"}},
            }
        ],
    )
)

parcels.on("order.paid", key="event.order", task="pack")
parcels.on(
    ["order.paid", "stock.arrived"],
    key={"order.paid": "event.order", "stock.arrived": "event.for_order"},
    within="2d",
    task="ship",
)
parcels.on("ping.done", task="ping")
parcels.on(["hurry.one", "hurry.two"], within="300ms", task="ship", name="hurried")


@parcels.on("order.paid", key="event.order", task="wrap")
def gift_wrap(event: Paid) -> dict[str, Any] | None:
    """Only gifts are wrapped."""
    return {"what": f"wrap {event.order}"} if event.gift else None


def parcel_worker(address: str, task_queue: str) -> None:
    """The worker of a process of its own."""

    async def work() -> None:
        client = await Client.connect(address, plugins=[stock_plugin([parcels, stock])])
        await serve(Worker(client, task_queue=task_queue))

    asyncio.run(work())
