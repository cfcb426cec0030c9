"""What the examples that write files have in common: a folder with a database, whose items may have files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    RowMapping,
    Select,
    String,
    Table,
    select,
    text,
    update,
)

from counterstep import Undo, current_step

from .database import Database, FencedKeys

STANDING = "standing"
WITHDRAWN = "withdrawn"


class Call(NamedTuple):
    """A call of a tool that changes something: its idempotency key, and whose it is."""

    key: str
    task: str
    step: str


class Item(BaseModel):
    """Something that a call has made: a row, and the file that belongs to it, where it has one."""

    model_config = ConfigDict(frozen=True)

    key: str
    task: str
    step: str
    kind: str
    name: str | None
    file: str | None
    data: dict[str, Any] | None
    state: str


def items_table(name: str, metadata: MetaData) -> Table:
    """Declares a table of items."""
    return Table(
        name,
        metadata,
        Column("item", Integer, primary_key=True),
        Column("key", String(64), nullable=False, unique=True),
        Column("task", String, nullable=False, index=True),
        Column("step", String, nullable=False),
        Column("kind", String(10), nullable=False),
        Column("name", String(80)),
        Column("file", String(200)),
        Column("data", JSON),
        Column("state", String(10), nullable=False),
    )


class Workplace:
    """A folder: ``store.sqlite`` in it, and the files of its items.

    An item is a row under the idempotency key of the call that has made it. Its file is written before the
    row is committed, and has the key in its name: so an undo finds it also where the row was lost.
    """

    def __init__(self, folder: Path, items: Table, fill: Callable[[Connection], None]) -> None:
        """Names the folder; it is made when it is first used.

        Args:
            folder: Where all of it is.
            items: The table of items, among the tables of its metadata.
            fill: Puts the first rows into the other tables.
        """
        self.folder = folder
        self._items = items
        self._database = Database(str(folder / "store.sqlite"), items.metadata, fill)
        self._keys = FencedKeys(self._database, items, STANDING, WITHDRAWN)

    def keep(
        self,
        call: Call,
        kind: str,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        file: str | None = None,
        content: str = "",
        check: Callable[[Connection], object] = lambda _: None,
    ) -> Item:
        """Makes an item, once for each key.

        Args:
            call: Who makes it.
            kind: What it is.
            name: What it is called.
            data: What else its row holds.
            file: The path of its file in the folder; None where it has none.
            content: What the file holds.
            check: Raises `NotApplied` where the item cannot be made; in the same transaction.

        Returns:
            The item, or the earlier one of the same call.

        Raises:
            NotApplied: The call was undone before, or `check` says so.
        """
        row = {**call._asdict(), "kind": kind, "name": name, "file": file, "data": dict(data or {})}

        def make(connection: Connection) -> None:
            check(connection)
            if file is not None:
                self.write(file, content)

        return Item.model_validate(dict(self._keys.do(row, make)))

    def withdraw(
        self,
        call: Call,
        kind: str,
        back: Callable[[Connection, RowMapping], object] = lambda *_: None,
    ) -> None:
        """Undoes `keep`, and keeps a call with that key from making anything later.

        Args:
            call: Whose item it is.
            kind: What it is.
            back: Takes back what else the call has changed.
        """
        self._keys.undo({**call._asdict(), "kind": kind}, back)
        # The key is marked: nobody writes this file any more.
        for path in self.folder.glob(f"**/*-{_short(call.key)}.*"):
            path.unlink(missing_ok=True)

    def change(self, key: str, data: Mapping[str, Any]) -> None:
        """Gives a standing item other data."""
        this = (self._items.c.key == key) & (self._items.c.state == STANDING)
        with self._database.begin() as connection:
            connection.execute(update(self._items).where(this).values(data=dict(data)))

    def items(self, task: str | None = None, kind: str | None = None) -> list[Item]:
        """Returns the items that stand, oldest first, of one task and kind where these are given."""
        query = select(self._items).where(self._items.c.state == STANDING).order_by(self._items.c.item)
        if task is not None:
            query = query.where(self._items.c.task == task)
        if kind is not None:
            query = query.where(self._items.c.kind == kind)
        with self._database.begin() as connection:
            return [Item.model_validate(dict(row)) for row in connection.execute(query).mappings()]

    def find(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Returns what a query finds in the tables of this workplace."""
        with self._database.begin() as connection:
            return connection.execute(query).all()

    def ask(self, sql: str, **values: object) -> Sequence[Row[Any]]:
        """Returns what a plain SQL query finds; ``:name`` in it stands for a value."""
        with self._database.begin() as connection:
            return connection.execute(text(sql), values).all()

    def write(self, file: str, content: str) -> None:
        """Writes a file whole or not at all."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=self.folder, prefix=".unfinished-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(content)
        Path(unfinished).replace(path)

    def read(self, file: str) -> str | None:
        """Returns what a file holds; None where there is no such file in the folder."""
        path = (self.folder / file).resolve()
        if not path.is_relative_to(self.folder.resolve()) or not path.is_file():
            return None
        return path.read_text(encoding="utf-8")

    def files(self) -> list[str]:
        """Returns the paths of all files of items, sorted."""
        found = (path.relative_to(self.folder) for path in self.folder.glob("*/**/*") if path.is_file())
        return sorted(map(str, found))

    def start_over(self) -> None:
        """Throws all items and their files away, and fills the other tables as in the beginning."""
        self._database.start_over()
        for file in self.files():
            (self.folder / file).unlink()


def this_call() -> Call:
    """Returns whose call this is, inside of a tool."""
    step = current_step()
    return Call(step.idempotency_key, step.task_id, step.step)


def call_of(undo: Undo[Any]) -> Call:
    """Returns whose call is undone, inside of a compensation."""
    return Call(undo.idempotency_key, undo.task_id, undo.step)


def own_file(folder: str, name: str, call: Call, suffix: str) -> str:
    """Returns the path of a file that one call makes and no other."""
    return f"{folder}/{name}-{_short(call.key)}.{suffix}"


def _short(key: str) -> str:
    return key[:12]
