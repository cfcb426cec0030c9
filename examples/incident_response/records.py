"""The rows of an incident: its ticket, and what was done about it; SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, Connection, Integer, MetaData, Row, String, Table, Text, insert, text, update

from ..database import Database, FencedKeys

_metadata = MetaData()

_tickets = Table(
    "incident_tickets",
    _metadata,
    Column("ticket_id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("task", String, nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("cause", Text),
    Column("state", String(10), nullable=False),
)

_operations = Table(
    "incident_operations",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("task", String, nullable=False, index=True),
    Column("step", String, nullable=False),
    Column("what", Text),
    Column("state", String(10), nullable=False),
)

DONE = "done"
UNDONE = "undone"

OPEN = "open"
RESOLVED = "resolved"
WITHDRAWN = "withdrawn"


class Call(NamedTuple):
    """A call that changes something: its key, its task and its step."""

    key: str
    task: str
    step: str


class Ticket(BaseModel):
    """A row for the people who have to know of an incident."""

    model_config = ConfigDict(frozen=True)

    ticket_id: int


class Records:
    """The tables; each change is a row under its idempotency key.

    The row of a change to files or processes is written before the change is made. So an undo that finds no
    row has nothing to undo, and whatever comes later under that key is refused.
    """

    def __init__(self, address: str) -> None:
        """Names the database; it is opened when it is first used.

        Args:
            address: A path for SQLite, or postgresql://user:password@host/database.
        """
        self._database = Database(address, _metadata, lambda connection: None)
        self._keys = FencedKeys(self._database, _operations, DONE, UNDONE)

    def begin(self, call: Call, what: str) -> str:
        """Records a change that is about to be made; raises `NotApplied` if it was undone before.

        Args:
            call: Who makes it; where its key was recorded before, that row stays.
            what: What is changed, in one line.

        Returns:
            What was recorded: a repeated call says the same as the first.
        """
        return str(self._keys.do({**call._asdict(), "what": what}, lambda connection: None)["what"])

    def undo(self, call: Call, back: Callable[[], object]) -> None:
        """Undoes a change once; where it was never begun, nothing is done and it never will be."""
        self._keys.undo(call._asdict(), lambda *_: back())

    def open_ticket(self, call: Call, title: str) -> Ticket:
        """Opens a ticket; raises `NotApplied` if it was withdrawn before."""

        def add(connection: Connection) -> None:
            row = {"key": call.key, "task": call.task, "title": title, "state": OPEN}
            connection.execute(insert(_tickets).values(row))

        self._keys.do({**call._asdict(), "what": f"ticket: {title}"}, add)
        (found,) = self.ask("SELECT ticket_id FROM incident_tickets WHERE key = :key", key=call.key)
        return Ticket(ticket_id=found[0])

    def withdraw_ticket(self, call: Call) -> None:
        """Undoes `open_ticket`."""

        def withdraw(connection: Connection, _: object) -> None:
            this = update(_tickets).where(_tickets.c.key == call.key)
            connection.execute(this.values(state=WITHDRAWN))

        self._keys.undo(call._asdict(), withdraw)

    def resolve_ticket(self, call: Call, ticket_id: int, cause: str) -> None:
        """Resolves a ticket; raises `NotApplied` if it was reopened before."""
        this = update(_tickets).where(_tickets.c.ticket_id == ticket_id)
        what = f"ticket {ticket_id} is resolved"
        self._keys.do(
            {**call._asdict(), "what": what},
            lambda connection: connection.execute(this.values(state=RESOLVED, cause=cause)),
        )

    def reopen_ticket(self, call: Call, ticket_id: int) -> None:
        """Undoes `resolve_ticket`."""
        this = update(_tickets).where(_tickets.c.ticket_id == ticket_id).values(state=OPEN, cause=None)
        self._keys.undo(call._asdict(), lambda connection, _: connection.execute(this))

    def ask(self, sql: str, **values: str) -> Sequence[Row[Any]]:
        """Returns what a plain SQL query finds; ``:name`` in it stands for a value."""
        with self._database.begin() as connection:
            return connection.execute(text(sql), values).all()
