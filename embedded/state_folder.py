"""What an embedded server keeps in its folder, and the locks that say who may start or stop it."""

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

    The server inherits the lock on ``alive.lock`` and never releases it. A locked file therefore means that
    the server runs, because the operating system releases the lock when the server dies, however it dies. A
    process id could not show that: it may belong to another program by now.

    Attributes:
        folder: The absolute path of the folder that ``.counterstep/`` is in.
        database: The histories, in SQLite.
        log: What the server printed.
        alive: Locked by the server for as long as it lives.
    """

    def __init__(self, folder: Path) -> None:
        """Works out the paths of the files; nothing is created yet.

        Args:
            folder: The folder that the server belongs to; it need not exist.
        """
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
        """Records the server; readers see either the old record or the new one, never half of one."""
        draft = self._record.with_suffix(".new")
        draft.write_text(server.model_dump_json(indent=2) + "\n")
        draft.replace(self._record)

    def forget(self) -> None:
        """Drops the record."""
        self._record.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Waits for its turn, and then keeps other processes from starting or stopping the server.

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
        exclusive: Whether to exclude the holders of shared locks as well.

    Returns:
        Whether the file was locked; False when another process holds a lock that excludes this one.
    """
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
