"""What the examples' databases have in common: SQLite or PostgreSQL, and fenced keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    NullPool,
    RowMapping,
    Table,
    create_engine,
    insert,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from counterstep import NotApplied

FENCED = "fenced"
"""The undo came first: the row holds nothing but the key, and a call with that key is refused."""


class Database:
    """The tables behind one address, made when they are first used."""

    def __init__(self, address: str, metadata: MetaData, fill: Callable[[Connection], None]) -> None:
        """Names a database; nothing is opened yet, so that a process may fork before.

        Args:
            address: A path for SQLite, or postgresql://user:password@host/database.
            metadata: The tables.
            fill: Puts the first rows into them, where there are none.
        """
        self._address = address
        self._metadata = metadata
        self._fill = fill
        self._opening = threading.Lock()

    def begin(self) -> AbstractContextManager[Connection]:
        """Returns a transaction, committed when it is left without an exception."""
        return self._engine.begin()

    def start_over(self) -> None:
        """Throws all rows of these tables away, and fills them as in the beginning."""
        self._metadata.drop_all(self._engine)
        self._make(self._engine)

    @property
    def _engine(self) -> Engine:
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> Engine:
        engine = _connect(self._address)
        self._make(engine)
        return engine

    def _make(self, engine: Engine) -> None:
        self._metadata.create_all(engine)
        with engine.begin() as connection:
            if all(
                connection.execute(select(table)).first() is None for table in self._metadata.sorted_tables
            ):
                self._fill(connection)


class FencedKeys:
    """Calls as rows of a table, each under its idempotency key; a row, once written, stays.

    So a repeated call finds its first effect; an undo marks the row; and a call that arrives after its undo
    finds the mark and is refused. Whatever a call changes, it changes in the transaction of its row.
    """

    def __init__(self, database: Database, table: Table, done: str, undone: str) -> None:
        """Takes a table.

        Args:
            database: Where it is.
            table: Has the columns ``key``, unique, and ``state``.
            done: The state of a call whose effect stands.
            undone: The state of a call that was undone.
        """
        self._database = database
        self._table = table
        self._done = done
        self._undone = undone

    def do(self, values: Mapping[str, Any], change: Callable[[Connection], object]) -> RowMapping:
        """Has an effect, once for each key.

        Args:
            values: The columns of the call's row but ``state``.
            change: Makes the change, after the row was written; what it raises takes the row back.

        Returns:
            The row of the call, or of the earlier one with the same key.

        Raises:
            NotApplied: The call was undone before.
        """
        # Like an undo it locks its key first and all else second, so the two cannot block each other.
        with suppress(IntegrityError), self._database.begin() as connection:
            connection.execute(insert(self._table).values(**values, state=self._done))
            change(connection)
        with self._database.begin() as connection:
            row = self._row(connection, values["key"])
        if row["state"] != self._done:
            raise NotApplied("this call has been undone before")
        return row

    def undo(self, values: Mapping[str, Any], back: Callable[[Connection, RowMapping], object]) -> None:
        """Takes the effect of a call back, once, and keeps a call with that key from ever having one.

        Args:
            values: The columns to write where the call has no row: ``key``, and what else must be there.
            back: Takes the change back, given the call's row; not called where there is nothing to undo.
        """
        with suppress(IntegrityError), self._database.begin() as connection:
            connection.execute(insert(self._table).values(**values, state=FENCED))
            return
        this = (self._table.c.key == values["key"]) & (self._table.c.state == self._done)
        with self._database.begin() as connection:
            if connection.execute(update(self._table).where(this).values(state=self._undone)).rowcount:
                back(connection, self._row(connection, values["key"]))

    def _row(self, connection: Connection, key: str) -> RowMapping:
        return connection.execute(select(self._table).where(self._table.c.key == key)).mappings().one()


def _connect(address: str) -> Engine:
    if "://" not in address:
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        return create_engine(f"sqlite:///{address}", connect_args={"timeout": 30}, poolclass=NullPool)
    url = make_url(address)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url)
