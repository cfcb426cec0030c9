"""A bundle whose effects are rows of an SQLite file, so that tests see what really happened."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

from counterstep import Bundle, Effect, NotApplied, Operation, Subject, Undo, Verdict, current_step

VARIABLE = "COUNTERSTEP_TEST_DESK"
"""Names the SQLite file; workers in other processes inherit it."""

HELD = -1.0
"""As a tool's seconds: until the test releases the thing, see `Desk.release`."""

desk = Bundle("desk", stand_in=True)


class Placed(BaseModel):
    what: str
    key: str


class Event(BaseModel):
    """One thing that happened, in the order in which it did."""

    seq: int
    action: str
    what: str
    step: str
    key: str
    attempt: int
    at: float
    note: str


class Desk:
    """What a test reads from the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _open(path) as db:
            db.executescript(
                """
                create table effects (key text primary key, what text, state text);
                create table events (
                    seq integer primary key, action text, what text, step text, key text,
                    attempt integer, at real, note text
                );
                """
            )

    def effects(self) -> dict[str, str]:
        """The effects that stand, as `what` -> key."""
        with _open(self.path) as db:
            rows = db.execute("select what, key from effects where state = 'done' order by rowid").fetchall()
        return {what: key for what, key in rows}

    def events(self, *actions: str) -> list[Event]:
        """What happened; only these actions where any are named."""
        with _open(self.path) as db:
            rows = db.execute(
                "select seq, action, what, step, key, attempt, at, note from events order by seq"
            )
            found = [Event(**dict(zip(Event.model_fields, row, strict=True))) for row in rows.fetchall()]
        return [event for event in found if not actions or event.action in actions]

    def what(self, *actions: str) -> list[str]:
        """The `what` of these events in order."""
        return [event.what for event in self.events(*actions)]

    def repair(self, what: str) -> None:
        """Lets the undo of a thing that was put down with ``undo=broken`` succeed from now on."""
        with _open(self.path) as db:
            db.execute(
                "insert into events (action, what, step, key, attempt, at, note) "
                "values ('repaired', ?, '', '', 0, 0, '')",
                (what,),
            )

    def release(self, *whats: str) -> None:
        """Lets calls go on that are held; an undo is held as ``undo WHAT``."""
        for what in whats:
            _sign(self.path, what).touch()

    async def until(self, action: str, what: str, seconds: float = 60) -> Event:
        """Waits until something has happened."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._has(action, what):
                return next(event for event in self.events(action) if event.what == what)
            await asyncio.sleep(0.02)
        raise AssertionError(f"{action} {what} has not happened; there is {self.events()}")

    def _has(self, action: str, what: str) -> bool:
        with _open(self.path) as db:
            found = db.execute("select 1 from events where action = ? and what = ?", (action, what))
            return found.fetchone() is not None


@contextmanager
def _open(path: Path | str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path, timeout=30)
    # What a killed process has written is safe without it; only a machine that dies loses something.
    db.execute("pragma synchronous = off")
    try:
        with db:
            yield db
    finally:
        db.close()


def _sign(path: Path, what: str) -> Path:
    """The file that says, to workers in other processes too, that something is released."""
    return path.with_name(f"released {what}")


def is_held(what: str, seconds: float) -> bool:
    """Says whether something whose seconds are `HELD` has not been released yet."""
    return seconds == HELD and not _sign(Path(os.environ[VARIABLE]), what).exists()


def pause(what: str, seconds: float) -> None:
    """Waits for some seconds, or until the test releases the thing."""
    time.sleep(max(0, seconds))
    while is_held(what, seconds):
        time.sleep(0.02)


async def pause_async(what: str, seconds: float) -> None:
    """Does the same and blocks nothing."""
    await asyncio.sleep(max(0, seconds))
    while is_held(what, seconds):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


def record(action: str, what: str, note: str = "") -> None:
    """Writes down that something happened."""
    step = current_step()
    with _open(os.environ[VARIABLE]) as db:
        db.execute(
            "insert into events (action, what, step, key, attempt, at, note) values (?, ?, ?, ?, ?, ?, ?)",
            (action, what, step.step, step.idempotency_key, step.attempt, time.time(), note),
        )


def write(key: str, what: str, state: str) -> None:
    """Writes one row, whatever was there before."""
    with _open(os.environ[VARIABLE]) as db:
        db.execute("insert or replace into effects values (?, ?, ?)", (key, what, state))


def standing(what: str) -> int:
    """Returns how many effects of this name stand."""
    with _open(os.environ[VARIABLE]) as db:
        found = db.execute("select count(*) from effects where what = ? and state = 'done'", (what,))
        return int(found.fetchone()[0])


def _put(what: str) -> None:
    """The effect: one row, fenced by its key."""
    key = current_step().idempotency_key
    with _open(os.environ[VARIABLE]) as db:
        state = db.execute("select state from effects where key = ?", (key,)).fetchone()
        if state is None:
            db.execute("insert or ignore into effects values (?, ?, 'done')", (key, what))
    if state == ("undone",):
        record("refused", what)
        raise NotApplied(f"{what} was taken back already")
    record("done", what)


@desk.tool(compensate="take_back")
def put(
    what: str,
    delay: float = 0,
    late: float = 0,
    fail: str = "",
    undo: str = "",
    undo_delay: float = 0,
    size: int = 0,
) -> Placed:
    """Puts a thing on the desk.

    Args:
        delay: Seconds before the effect, or `HELD`.
        late: Seconds between the effect and the answer, or `HELD`.
        fail: before, once (at once, in the first attempt only), first (at once, in the first call only),
            after, not_applied, garbage or final.
        undo: What the undo does: fail (for good), broken (fail until it is repaired) or nothing.
        undo_delay: Seconds the undo takes, or `HELD`.
        size: Bytes to add to the answer.
    """
    record("begin", what)
    if fail == "once" and current_step().attempt == 1:
        raise RuntimeError(f"{what} failed once")
    if fail == "first" and begun(what) == 1:
        raise RuntimeError(f"{what} failed at first")
    pause(what, delay)
    if fail == "not_applied":
        raise NotApplied(f"no room for {what}")
    if fail == "before":
        raise RuntimeError(f"{what} failed before")
    _put(what)
    pause(what, late)
    if fail == "after":
        raise RuntimeError(f"{what} failed after")
    if fail == "final":
        raise ApplicationError(f"{what} failed for good", type="Final", non_retryable=True)
    if fail == "garbage":
        return "garbage"  # type: ignore[return-value]
    return Placed(what=what, key=current_step().idempotency_key + "x" * size)


@desk.tool(compensate="take_back")
async def put_async(what: str, delay: float = 0, late: float = 0) -> Placed:
    """Puts a thing on the desk, asynchronously."""
    record("begin", what)
    await pause_async(what, delay)
    _put(what)
    await pause_async(what, late)
    return Placed(what=what, key=current_step().idempotency_key)


@desk.tool(compensate="take_back")
def put_deep(what: str, depth: int) -> Any:
    """Puts a thing on the desk and answers with lists in lists."""
    _put(what)
    answer: Any = what
    for _ in range(depth):
        answer = [answer]
    return answer


@desk.compensation
def take_back(undo: Undo[Placed]) -> None:
    """Takes a thing off the desk and fences its key."""
    what = str(undo.input["what"])
    record("undo", what, json.dumps({"output": undo.output is not None, "reason": undo.reason}))
    pause(f"undo {what}", float(undo.input.get("undo_delay", 0)))
    if undo.input.get("undo") == "fail" or (undo.input.get("undo") == "broken" and not _is_repaired(what)):
        raise ApplicationError(f"the undo of {what} fails", non_retryable=True)
    assert undo.idempotency_key == current_step().idempotency_key
    with _open(os.environ[VARIABLE]) as db:
        db.execute(
            "insert into effects values (?, ?, 'undone') on conflict (key) do update set state = 'undone'",
            (undo.idempotency_key, what),
        )
    record("undone", what)


@desk.tool(effect=Effect.PIVOT)
def hand_over(what: str, delay: float = 0, late: float = 0, fail: str = "") -> Placed:
    """Gives a thing away for good; arguments as those of `put`."""
    return put(what, delay, late, fail)


@desk.tool(effect=Effect.PIVOT, idempotent=True)
def hand_over_again(what: str, delay: float = 0, late: float = 0, fail: str = "") -> Placed:
    """Gives a thing away, under one key as often as one likes."""
    return put(what, delay, late, fail)


@desk.tool(effect=Effect.RETRIABLE)
def announce(what: str, delay: float = 0, late: float = 0, fail: str = "") -> Placed:
    """Tells somebody; to be told twice does no harm."""
    return put(what, delay, late, fail)


def begun(what: str) -> int:
    """Returns how many calls of this name have begun."""
    with _open(os.environ[VARIABLE]) as db:
        found = db.execute("select count(*) from events where action = 'begin' and what = ?", (what,))
        return int(found.fetchone()[0])


def _is_repaired(what: str) -> bool:
    with _open(os.environ[VARIABLE]) as db:
        row = db.execute("select 1 from events where action = 'repaired' and what = ?", (what,))
        return row.fetchone() is not None


@desk.tool(effect=Effect.READ_ONLY)
def look(what: str = "", delay: float = 0, fail: str = "") -> dict[str, Any]:
    """Changes nothing."""
    record("look", what)
    pause(what, delay)
    if fail:
        raise RuntimeError(f"cannot see {what}")
    return {"what": what, "count": len(what)}


@desk.tool(before="read_label", compensate="restore_label")
def set_label(name: str, value: str, fail: str = "") -> str:
    """Changes a value that was there before."""
    with _open(os.environ[VARIABLE]) as db:
        db.execute("insert or replace into effects values (?, ?, 'label')", (f"label {name}", value))
    record("done", f"label {name}={value}")
    if fail:
        raise ApplicationError("the label fell off", type="Final", non_retryable=True)
    return value


@desk.tool(effect=Effect.READ_ONLY)
def read_label(name: str, value: str, fail: str = "") -> str | None:
    """Reads the value that `set_label` is about to change."""
    with _open(os.environ[VARIABLE]) as db:
        row = db.execute("select what from effects where key = ?", (f"label {name}",)).fetchone()
    record("look", f"label {name}")
    return None if row is None else str(row[0])


@desk.compensation
def restore_label(undo: Undo[str]) -> None:
    """Puts the value back that was there before."""
    name = undo.input["name"]
    with _open(os.environ[VARIABLE]) as db:
        if undo.before is None:
            db.execute("delete from effects where key = ?", (f"label {name}",))
        else:
            db.execute("update effects set what = ? where key = ?", (undo.before, f"label {name}"))
    record("undone", f"label {name}={undo.before}")


class Thought(BaseModel):
    text: str
    score: float = 0.5


@desk.agent(effect=Effect.READ_ONLY)
def thinker(text: str, score: float = 0.5, fail: str = "") -> Thought:
    """An agent written in Python."""
    record("think", text)
    if fail:
        raise ApplicationError(f"{text} is unthinkable", type="Final", non_retryable=True)
    return Thought(text=text, score=score)


class Plan(BaseModel):
    items: list[dict[str, Any]]


@desk.agent(effect=Effect.READ_ONLY)
def planner(items: list[dict[str, Any]], held: str = "") -> Plan:
    """Has thought of a plan, which the test has told it; a `held` one until the test releases that."""
    record("plan", ", ".join(str(item.get("id")) for item in items))
    pause(held, HELD if held else 0)
    return Plan(items=items)


@desk.agent(effect=Effect.READ_ONLY)
def plotter(operations: list[Operation]) -> list[Operation]:
    """Has thought of operations, which the test has told it."""
    record("plan", ", ".join(operation.id for operation in operations))
    return operations


@desk.agent(effect=Effect.READ_ONLY)
async def second_thinker(text: str, score: float = 0.5, fail: str = "") -> Thought:
    """Another one."""
    record("think", f"second {text}")
    return Thought(text=f"second {text}", score=score)


desk.add_task(
    {
        "name": "tidy",
        "goal": "Put one thing where it belongs.",
        "input": {
            "type": "object",
            "required": ["what"],
            "properties": {"what": {"type": "string"}},
            "additionalProperties": False,
        },
        "steps": [{"id": "place", "tool": "desk.put", "input": {"what": "${{ task.what }}"}}],
        "output": {"on_desk": "${{ steps.place.output.what }}"},
    }
)


desk.add_task(
    {
        "name": "long",
        "input": {"type": "object", "required": ["n"], "properties": {"n": {}, "rest": {}}},
        "steps": [
            {"id": "one", "tool": "desk.put", "input": {"what": "one"}},
            {"id": "two", "needs": ["one"], "tool": "desk.put", "input": {"what": "two"}},
            {
                "id": "many",
                "needs": ["two"],
                "for_each": "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
                "tool": "desk.put",
                "input": {"what": "item ${{ item }}"},
            },
            {"id": "last", "needs": ["many"], "tool": "desk.put", "input": {"what": "last"}},
            {
                "id": "rest",
                "when": "has(task.rest)",
                "needs": ["last"],
                "tool": "desk.look",
                "input": {"what": "rest", "delay": HELD},
            },
        ],
        "output": {"count": "${{ size(steps.many.output) }}"},
    }
)


@desk.validator
def agree(subject: Subject) -> Verdict:
    """Says yes."""
    return Verdict.accept("looks good")


@desk.validator
def refuse(subject: Subject) -> Verdict:
    """Says no."""
    return Verdict.reject("looks bad", "smells bad")


@desk.validator
def ponder(subject: Subject) -> Verdict:
    """Says yes once the test has released ``ponder``."""
    record("ponder", "ponder")
    pause("ponder", HELD)
    return Verdict.accept("on reflection")


@desk.validator
def crash(subject: Subject) -> Verdict:
    """Breaks down."""
    raise ApplicationError("the validator broke down", non_retryable=True)


@desk.validator
def nonsense(subject: Subject) -> Any:
    """Answers with something that is not a verdict."""
    return {"passed": "certainly", "reasons": []}


@desk.validator(fast=True)
def agree_fast(subject: Subject) -> Verdict:
    """Says yes at once."""
    return Verdict.accept("quick look")


@desk.validator(fast=True)
async def dawdle(subject: Subject) -> Verdict:
    """Takes longer than a fast validator may."""
    await asyncio.sleep(30)
    return Verdict.accept("at last")


desk.on("found", key="event.what", task="tidy", name="found")


@desk.on(["washed", "dried"], key="event.what", within="1d", task="tidy")
def clean(events: dict[str, Any]) -> dict[str, Any]:
    """What is washed and dried is put on the desk."""
    return {"what": events["washed"]["what"]}
