"""The tasks of the soak, and what they do to the world: rows of an SQLite file that outlives every worker."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

from counterstep import Agent, Bundle, Effect, NotApplied, Undo, current_step

VARIABLE = "COUNTERSTEP_SHELF"
"""Names the SQLite file."""

shelf = Bundle("shelf")


class Placed(BaseModel):
    what: str


class Report(BaseModel):
    placed: list[str]


class Job(BaseModel):
    name: str
    pace: float


class Row(NamedTuple):
    """An effect that stands."""

    task: str
    key: str
    what: str


class Moment(NamedTuple):
    """Something that happened: ``begin``, ``done`` and ``refused`` of a call, ``undo`` and ``undone``."""

    action: str
    task: str
    key: str
    what: str
    attempt: int
    at: float


class Shelf:
    """What is read from the file."""

    def __init__(self, path: Path) -> None:
        """Makes the file."""
        self._path = path
        with _open(path) as db:
            db.executescript(
                """
                pragma journal_mode = wal;
                create table effects (key text primary key, task text, what text, state text);
                create table moments (
                    seq integer primary key, action text, task text, key text, what text,
                    attempt integer, at real
                );
                """
            )

    def standing(self) -> list[Row]:
        """The effects that stand."""
        with _open(self._path) as db:
            return [
                Row(*row) for row in db.execute("select task, key, what from effects where state = 'done'")
            ]

    def moments(self) -> list[Moment]:
        """What happened, in order."""
        with _open(self._path) as db:
            rows = db.execute("select action, task, key, what, attempt, at from moments order by seq")
            return [Moment(*row) for row in rows]


@contextmanager
def _open(path: Path | str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path, timeout=60, isolation_level="IMMEDIATE")
    try:
        # It has to outlive a killed process, not a machine that loses its power.
        db.execute("pragma synchronous = off")
        with db:
            yield db
    finally:
        db.close()


def _record(db: sqlite3.Connection, action: str, what: str) -> None:
    step = current_step()
    db.execute(
        "insert into moments (action, task, key, what, attempt, at) values (?, ?, ?, ?, ?, ?)",
        (action, step.task_id, step.idempotency_key, what, step.attempt, time.time()),
    )


def _begin(action: str, what: str) -> None:
    with _open(os.environ[VARIABLE]) as db:
        _record(db, action, what)


def _put(what: str) -> None:
    step = current_step()
    with _open(os.environ[VARIABLE]) as db:
        row = db.execute("select state from effects where key = ?", (step.idempotency_key,)).fetchone()
        late = row == ("undone",)
        if row is None:
            values = (step.idempotency_key, step.task_id, what)
            db.execute("insert into effects values (?, ?, ?, 'done')", values)
        _record(db, "refused" if late else "done", what)
    if late:
        raise NotApplied(f"{what} was taken back already")


def _end(what: str, fail: bool) -> Placed:
    if fail:
        raise ApplicationError(f"{what} is of no use", type="Useless", non_retryable=True)
    return Placed(what=what)


@shelf.tool(compensate="take_back")
def put(what: str, pace: float = 0, fail: bool = False) -> Placed:
    """Puts a thing on the shelf.

    Args:
        pace: The most seconds that it takes, half of them before the effect and half after.
        fail: Fail for good after the effect.
    """
    _begin("begin", what)
    time.sleep(random.uniform(0, pace / 2))
    _put(what)
    time.sleep(random.uniform(0, pace / 2))
    return _end(what, fail)


@shelf.tool(compensate="take_back")
async def put_async(what: str, pace: float = 0, fail: bool = False) -> Placed:
    """Puts a thing on the shelf, asynchronously."""
    _begin("begin", what)
    await asyncio.sleep(random.uniform(0, pace / 2))
    _put(what)
    await asyncio.sleep(random.uniform(0, pace / 2))
    return _end(what, fail)


@shelf.compensation
def take_back(undo: Undo[Placed]) -> None:
    """Takes a thing off the shelf and fences its key."""
    what, pace = str(undo.input["what"]), float(undo.input.get("pace", 0))
    _begin("undo", what)
    time.sleep(random.uniform(0, pace / 4))
    with _open(os.environ[VARIABLE]) as db:
        db.execute(
            "insert into effects values (?, ?, ?, 'undone') on conflict (key) do update set state = 'undone'",
            (undo.idempotency_key, undo.task_id, what),
        )
        _record(db, "undone", what)
    time.sleep(random.uniform(0, pace / 4))


@shelf.tool(effect=Effect.READ_ONLY)
def look(pace: float = 0) -> int:
    """Counts what is on the shelf."""
    _begin("begin", "")
    time.sleep(random.uniform(0, pace))
    with _open(os.environ[VARIABLE]) as db:
        return int(db.execute("select count(*) from effects where state = 'done'").fetchone()[0])


shelf.add(
    Agent(
        name="clerk",
        description="Puts three things on the shelf.",
        instructions="You put things on the shelf.",
        model="openai/clerk",
        tools=[put],
        input=Job,
        output=Report,
    )
)

_INPUT = {
    "type": "object",
    "required": ["name", "pace", "fail", "prefix"],
    "properties": {
        "name": {"type": "string"},
        "pace": {"type": "number"},
        "fail": {"type": "boolean"},
        "prefix": {"type": "string"},
    },
}

# An attempt whose worker was killed counts, and that four of them are too many is not what is to be seen.
_RETRY = {"attempts": 20, "initial": "1s", "max": "2s"}


def _step(id_: str, *needs: str, tool: str = "put", what: str = "", **keys: Any) -> dict[str, Any]:
    thing = {"what": f"${{{{ task.prefix }}}}{what or id_}", "pace": "${{ task.pace }}"}
    return {"id": id_, "needs": list(needs), "tool": f"shelf.{tool}", "input": thing, "retry": _RETRY, **keys}


def _last(*needs: str) -> dict[str, Any]:
    step = _step("last", *needs)
    return {**step, "input": {**step["input"], "fail": "${{ task.fail }}"}}


_EACH = _step("each", "a", tool="put_async", what="i${{ index }}", for_each="[1, 2, 3]")
_LOOK = {
    "id": "seen",
    "needs": ["b"],
    "tool": "shelf.look",
    "input": {"pace": "${{ task.pace }}"},
    "retry": _RETRY,
}
_ASK = {
    "id": "m",
    "needs": ["a"],
    "agent": "shelf.clerk",
    "input": {"name": "${{ task.name }}", "pace": "${{ task.pace }}"},
    "retry": _RETRY,
}
_CHILD = {
    "id": "child",
    "needs": ["a"],
    "workflow": "shelf.errand",
    "input": {"name": "${{ task.name }}", "pace": "${{ task.pace }}", "fail": False, "prefix": "child."},
}

shelf.add_task(
    {
        "name": "errand",
        "input": _INPUT,
        "steps": [_step("a"), _EACH, _step("b", "a"), _LOOK, _last("each", "seen")],
    }
)
shelf.add_task({"name": "clerical", "input": _INPUT, "steps": [_step("a"), _ASK, _last("m")]})
shelf.add_task(
    {"name": "nested", "input": _INPUT, "steps": [_step("a"), _EACH, _CHILD, _last("each", "child")]}
)

_ERRAND = {"a", "i0", "i1", "i2", "b", "last"}

TASKS: dict[str, set[str]] = {
    "shelf.errand": _ERRAND,
    "shelf.clerical": {"a", "m1", "m2", "m3", "last"},
    "shelf.nested": {"a", "i0", "i1", "i2", "last", *(f"child.{what}" for what in _ERRAND)},
}
"""The tasks, and what is on the shelf when one has completed."""
