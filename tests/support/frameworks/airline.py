"""The customer service of an airline, whose agents change rows of a database.

It is written after Temporal's sample for the OpenAI Agents SDK: a triage agent hands over to the agent that
knows the answers, or to the one that books seats. A request is what `turns` writes. Here is what the sample
has in common with itself after the change of three lines.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from agents import Agent

VARIABLE = "COUNTERSTEP_TEST_AIRLINE"
"""Names the SQLite file; workers in other processes inherit it."""

PAUSE = 0.15
"""Seconds before and after each write, so that a kill comes in between as well."""

TABLE = "create table changes (key text primary key, booking text, what text, state text)"


class Airline:
    """What a test reads from the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(TABLE)

    def standing(self, booking: str) -> Counter[str]:
        """What stands of a booking, and how often."""
        with closing(sqlite3.connect(self.path, timeout=30)) as db:
            rows = db.execute("select what from changes where booking = ? and state = 'done'", (booking,))
            return Counter(what for (what,) in rows.fetchall())


def change(key: str, booking: str, what: str) -> str:
    time.sleep(PAUSE)
    with closing(sqlite3.connect(os.environ[VARIABLE], timeout=30)) as db, db:
        # A key that is there was used, or given back before it was.
        db.execute("insert or ignore into changes values (?, ?, ?, 'done')", (key, booking, what))
    time.sleep(PAUSE)
    return f"{what} is noted for {booking}"


def give_back(key: str, booking: str) -> None:
    """Takes a change back, also one that has not come yet."""
    with closing(sqlite3.connect(os.environ[VARIABLE], timeout=30)) as db, db:
        db.execute("insert or ignore into changes values (?, ?, '', 'undone')", (key, booking))
        db.execute("update changes set state = 'undone' where key = ?", (key,))


def agents(answers: list[Any], bookings: list[Any]) -> Agent[Any]:
    faq = Agent[Any](name="FAQ Agent", instructions="Answer questions.", tools=answers)
    seats = Agent[Any](name="Seat Booking Agent", instructions="Change seats.", tools=bookings)
    return Agent[Any](name="Triage Agent", instructions="Delegate.", handoffs=[faq, seats])
