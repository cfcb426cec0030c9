"""A bundle whose effects are rows of an SQLite file, for the fault explorer; some tools are planted bugs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel

from counterstep import Agent, Bundle, Effect, NotApplied, Subject, Undo, Verdict, current_step

VARIABLE = "COUNTERSTEP_TEST_BANQUET"
"""Names the SQLite file; workers in other processes inherit it."""

banquet = Bundle("banquet")


class Order(BaseModel):
    what: str
    cost: int


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(os.environ.get(VARIABLE, ".counterstep/banquet.sqlite"), timeout=60)
    try:
        db.execute("pragma synchronous = off")
        db.execute(
            "create table if not exists orders (key text primary key, task text, what text, state text)"
        )
        db.execute("create table if not exists guests (task text primary key, number integer)")
        with db:
            yield db
    finally:
        db.close()


def standing(task_id: str) -> list[str]:
    """What stands of a task: the keys of its orders, and its number of guests."""
    with _open() as db:
        orders = db.execute("select key from orders where task = ? and state = 'ordered'", (task_id,))
        guests = db.execute("select number from guests where task = ? and number != 0", (task_id,))
        return [key for (key,) in orders.fetchall()] + [f"{number} guests" for (number,) in guests.fetchall()]


# --- as it should be


@banquet.tool(effect=Effect.READ_ONLY)
def ask_guests(guests: int) -> list[str]:
    """Asks what each guest wants to eat."""
    return [f"dish {number}" for number in range(guests)]


@banquet.tool(effect=Effect.READ_ONLY)
def price(what: str) -> Order:
    """What a thing costs, without ordering it."""
    return Order(what=what, cost=len(what))


@banquet.tool(compensate="cancel")
def order(what: str) -> Order:
    """Orders a thing, once for each key."""
    return _order(what)


@banquet.tool(compensate="cancel")
async def order_async(what: str) -> Order:
    """The same as a coroutine."""
    return _order(what)


@banquet.compensation
def cancel(undo: Undo[Order]) -> None:
    """Cancels an order and marks its key, so that a call that is late is refused."""
    with _open() as db:
        db.execute(
            "insert into orders values (?, ?, ?, 'cancelled') "
            "on conflict (key) do update set state = 'cancelled'",
            (undo.idempotency_key, undo.task_id, undo.input["what"]),
        )


banquet.add(
    Agent(
        name="steward",
        description="Orders one thing.",
        instructions="Order what you are asked for.",
        model="openai/never-called",
        tools=[order],
        output=Order,
    )
)


@banquet.tool(effect=Effect.PIVOT)
def serve(what: str) -> Order:
    """Cannot be taken back."""
    return Order(what=what, cost=0)


@banquet.tool(effect=Effect.RETRIABLE)
def thank(who: str) -> str:
    """Need not be taken back."""
    return f"thank you, {who}"


@banquet.validator
def was_ordered(subject: Subject) -> Verdict:
    """Checks that the order is in the book."""
    with _open() as db:
        row = db.execute(
            "select 1 from orders where task = ? and what = ? and state = 'ordered'",
            (subject.task_id, subject.output["what"]),
        ).fetchone()
    return Verdict.accept("it is in the book") if row else Verdict.reject("it is not in the book")


# --- planted bugs


@banquet.tool(compensate="do_nothing")
def order_for_good(what: str) -> Order:
    """Its compensation does nothing."""
    return _order(what)


@banquet.compensation
def do_nothing(undo: Undo[Order]) -> None:
    """Says that it has undone the order."""


@banquet.tool(compensate="insist")
def order_insistently(what: str) -> Order:
    """Its compensation fails where there is nothing to undo."""
    return _order(what)


@banquet.compensation
def insist(undo: Undo[Order]) -> None:
    """Fails where the order is not there."""
    with _open() as db:
        row = db.execute("select 1 from orders where key = ?", (undo.idempotency_key,)).fetchone()
    if row is None:
        raise LookupError("there is no such order")
    cancel(undo)


@banquet.tool(compensate="cancel")
def order_blindly(what: str) -> Order:
    """Ignores that its key is marked."""
    key, task = current_step().idempotency_key, current_step().task_id
    with _open() as db:
        db.execute("insert or replace into orders values (?, ?, ?, 'ordered')", (key, task, what))
    return Order(what=what, cost=len(what))


@banquet.tool(compensate="uninvite")
def invite(number: int) -> int:
    """Its compensation takes the guests away each time it is called."""
    key, task = current_step().idempotency_key, current_step().task_id
    with _open() as db:
        known = db.execute("insert or ignore into orders values (?, ?, 'invitation', 'sent')", (key, task))
        if known.rowcount:
            db.execute(
                "insert into guests values (?, ?) on conflict (task) do update set number = number + ?",
                (task, number, number),
            )
    return number


@banquet.compensation
def uninvite(undo: Undo[int]) -> None:
    """Counts again what was counted before."""
    with _open() as db:
        sent = db.execute("select 1 from orders where key = ?", (undo.idempotency_key,)).fetchone()
        db.execute(
            "insert or ignore into orders values (?, ?, '', 'never')", (undo.idempotency_key, undo.task_id)
        )
        if sent is not None:
            number = undo.input["number"]
            db.execute("update guests set number = number - ? where task = ?", (number, undo.task_id))


def _order(what: str) -> Order:
    key, task = current_step().idempotency_key, current_step().task_id
    with _open() as db:
        db.execute("insert or ignore into orders values (?, ?, ?, 'ordered')", (key, task, what))
        (state,) = db.execute("select state from orders where key = ?", (key,)).fetchone()
    if state != "ordered":
        raise NotApplied(f"{what} was cancelled before")
    return Order(what=what, cost=len(what))


banquet.add_task({"name": "tasting", "steps": [{"id": "good", "approve": {"ask": "Is it good?"}}]})
banquet.add_task(
    {
        "name": "course",
        "input": {"type": "object", "required": ["dish"], "properties": {"dish": {"type": "string"}}},
        "steps": [
            {"id": "plates", "tool": "banquet.order", "input": {"what": "plates"}},
            {
                "id": "dish",
                "needs": ["plates"],
                "tool": "banquet.order",
                "input": {"what": "${{ task.dish }}"},
            },
        ],
    }
)
