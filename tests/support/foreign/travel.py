"""A bundle with a process agent that books: bookings are rows, and a worker can be killed in the second."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from counterstep import Approval, Bundle, ProcessAgent, Subject, Undo, Verdict, current_step
from counterstep.tests.support.foreign.provider import CLAUDE, MODEL

HOSTILE = Path(__file__).with_name("hostile.py")

BOOKINGS = "TRAVEL_BOOKINGS"
"""The variable with the path of the database."""

KILL = "TRAVEL_KILL"
"""The variable with a path: the worker is killed in its first hotel, unless something is there already."""

DECLARED = "TRAVEL_AGENT"
"""The variable with what else is said of the agent, as JSON."""

AGENT = Path(__file__).with_name("agent.py")


class Booking(BaseModel):
    """What was booked."""

    id: str


class Bookings:
    """The rows of the database."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[tuple[str, str, str]]:
        """Returns tool, city and state of each booking, in the order in which they were made."""
        with _open(str(self.path)) as db:
            return db.execute("select tool, city, state from bookings order by rowid").fetchall()

    def made(self) -> list[tuple[str, str]]:
        """Returns tool and city of each time that a tool ran."""
        with _open(str(self.path)) as db:
            return db.execute("select tool, city from runs order by rowid").fetchall()

    def standing(self) -> list[str]:
        """Returns the tools whose bookings stand."""
        return [tool for tool, _, state in self.rows() if state == "booked"]


def _open(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=20, isolation_level=None)
    db.execute("create table if not exists bookings(key text primary key, tool text, city text, state text)")
    db.execute("create table if not exists runs(tool text, city text)")
    return db


def _book(tool: str, city: str) -> Booking:
    key = current_step().idempotency_key
    with _open(os.environ[BOOKINGS]) as db:
        db.execute("insert into runs values(?, ?)", (tool, city))
        db.execute("insert or ignore into bookings values(?, ?, ?, 'booked')", (key, tool, city))
    return Booking(id=f"{tool}-{key[:6]}")


def travel(command: Sequence[str] = (sys.executable, str(AGENT)), **said: Any) -> Bundle:
    """Returns the bundle.

    Args:
        command: The agent's command.
        said: What else is said of the agent.
    """
    bundle = Bundle("travel")

    @bundle.compensation
    def cancel_booking(undo: Undo[Booking]) -> None:
        """Cancels a booking, by the key of its call."""
        with _open(os.environ[BOOKINGS]) as db:
            db.execute("update bookings set state='cancelled' where key=?", (undo.idempotency_key,))

    @bundle.tool(compensate=cancel_booking)
    def book_flight(city: str, price: int) -> Booking:
        """Books a flight."""
        return _book("book_flight", city)

    @bundle.tool(compensate=cancel_booking)
    def book_hotel(city: str, nights: int) -> Booking:
        """Books a hotel."""
        booked = _book("book_hotel", city)
        flag = os.environ.get(KILL)
        if flag and not os.path.exists(flag):
            Path(flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return booked

    @bundle.tool(compensate=cancel_booking, approval=Approval(ask="Book ${{ arguments.city }}?"))
    def book_dear(city: str, price: int) -> Booking:
        """Books a flight that somebody has to allow."""
        return _book("book_dear", city)

    @bundle.validator
    def is_good(subject: Subject) -> Verdict:
        """Says no to what the input calls too late."""
        said = subject.input if isinstance(subject.input, dict) else {}
        return Verdict.reject("too late") if said.get("too_late") else Verdict.accept()

    declared: dict[str, Any] = {
        "name": "agent",
        "description": "Books trips.",
        "command": [*command],
        "tools": [book_flight, book_hotel, book_dear],
        "models": [MODEL, CLAUDE],
        **json.loads(os.environ.get(DECLARED, "{}")),
        **said,
    }
    bundle.add(ProcessAgent(**declared))
    bundle.add_task(
        {
            "name": "trip",
            "goal": "Book a trip.",
            "input": {"type": "object"},
            "steps": [
                {
                    "id": "book",
                    "agent": "travel.agent",
                    "input": "${{ task }}",
                    "validate": [{"check": "travel.is_good"}],
                    "retry": {"attempts": 3, "initial": "100ms"},
                }
            ],
            "output": "${{ steps.book.output }}",
        }
    )
    return bundle
