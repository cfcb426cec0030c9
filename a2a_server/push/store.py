"""Where notifications are to be sent, in a file that outlives the process.

They hold the tokens of callers, which must not get into the history of a workflow.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from a2a.types import a2a_pb2 as pb

from ...saga.errors import DefinitionError

_T = TypeVar("_T")

_TABLE = """
create table if not exists push(
    task text, id text, subject text, config blob, told text, ended int, primary key(task, id))
"""


@dataclass(frozen=True, slots=True)
class KeptPush:
    """Where changes of one task are sent.

    Attributes:
        subject: Who has asked for it.
        config: What was asked for.
        told: What was sent last.
        ended: Whether there is nothing more to send.
    """

    subject: str
    config: pb.TaskPushNotificationConfig
    told: str = ""
    ended: bool = False


class PushStore:
    """The file."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it for its owner alone.

        Raises:
            DefinitionError: It cannot be used.
        """
        self._path = path
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            with closing(self._open()) as db:
                db.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise DefinitionError(f"the notifications {str(path)!r} cannot be kept: {reason}") from None

    async def put(self, kept: KeptPush) -> None:
        """Keeps where to send; nothing of it has been told yet."""
        config = kept.config
        row = (config.task_id, config.id, kept.subject, config.SerializeToString(), "", 0)
        await self._do(lambda db: db.execute("insert or replace into push values(?, ?, ?, ?, ?, ?)", row))

    async def told(self, kept: KeptPush, what: str, *, ended: bool) -> None:
        """Records what was sent."""
        row = (what, int(ended), kept.config.task_id, kept.config.id)
        await self._do(lambda db: db.execute("update push set told=?, ended=? where task=? and id=?", row))

    async def delete(self, task: str, id: str) -> None:
        """Forgets where to send."""
        await self._do(lambda db: db.execute("delete from push where task=? and id=?", (task, id)))

    async def of(self, task: str) -> list[KeptPush]:
        """Returns what is kept for a task."""
        return [kept for kept in await self.all() if kept.config.task_id == task]

    async def all(self) -> list[KeptPush]:
        """Returns all that is kept."""
        rows = "select subject, config, told, ended from push order by rowid"
        found = await self._do(lambda db: db.execute(rows).fetchall())
        return [
            KeptPush(subject, pb.TaskPushNotificationConfig.FromString(config), told, bool(ended))
            for subject, config, told, ended in found
        ]

    async def _do(self, what: Callable[[sqlite3.Connection], _T]) -> _T:
        def done() -> _T:
            with closing(self._open()) as db:
                return what(db)

        return await asyncio.to_thread(done)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=20, isolation_level=None)
