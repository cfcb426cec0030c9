"""What an embedded server keeps in its folder, and the locks that tell who may do what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from ..saga.errors import ServerUnavailable
from .server import EmbeddedServer


class StateFolder:
    """The folder ``.counterstep/``.

    The server inherits the lock on ``alive.lock`` and never lets go of it. So whether it runs is not read off
    a process id, which may be another program's by now: the operating system drops the lock when the server
    dies, however it dies.

    Attributes:
        folder: The folder that ``.counterstep/`` lies in, absolute.
        database: The histories, in SQLite.
        log: What the server printed.
        alive: Locked by the server for as long as it lives.
    """

    def __init__(self, folder: Path) -> None:
        """Args: folder: the folder the server belongs to; need not exist."""
        self.folder = folder.resolve()
        self._path = self.folder / ".counterstep"
        self.database = self._path / "temporal.sqlite"
        self.log = self._path / "server.log"
        self.alive = self._path / "alive.lock"
        self._start = self._path / "start.lock"
        self._record = self._path / "server.json"

    def exists(self) -> bool:
        """Whether a server was ever started here."""
        return self._path.is_dir()

    def create(self) -> None:
        """Makes the folder, readable by its owner only and unseen by git."""
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._path / ".gitignore").write_text("*\n")

    def recorded(self) -> EmbeddedServer | None:
        """The server that was last started here, which may have ended since."""
        try:
            return EmbeddedServer.model_validate_json(self._record.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def record(self, server: EmbeddedServer) -> None:
        """Remembers the server; readers see the old record or the new one, never a part."""
        draft = self._record.with_suffix(".new")
        draft.write_text(server.model_dump_json(indent=2) + "\n")
        draft.replace(self._record)

    def forget(self) -> None:
        """Drops the record."""
        self._record.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from starting or stopping the server meanwhile; waits for its turn.

        Raises:
            ServerUnavailable: The operating system has no such locks.
        """
        if sys.platform == "win32":
            raise ServerUnavailable(
                "The embedded server needs Linux or macOS; start one with `temporal server start-dev` and "
                "name it with --address."
            )
        import fcntl

        with open(self._start, "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_alive(self) -> bool:
        """Whether the server runs."""
        try:
            with open(self.alive, "rb") as lock:
                return not try_lock(lock, exclusive=False)
        except FileNotFoundError:
            return False


def try_lock(file: IO[bytes], *, exclusive: bool) -> bool:
    """Locks a file until every process that inherited it has closed it.

    Args:
        file: The open file.
        exclusive: Whether nobody else may hold even a shared lock.

    Returns:
        False where somebody else has it.
    """
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
