"""What each key has changed below a root, and what was there before: in the hidden folder of that root.

One worker at a time works below a root: the lock is the system's, and goes with the process that holds it.
A file that is replaced or removed is kept as a second link to it: that costs no space, however large it is,
and brings it back with its owner, its times and its permissions.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..saga.errors import NotApplied
from .file_state import FileState
from .roots import HIDDEN, Spot


class PlaceChange(BaseModel):
    """One place that a call changes.

    Attributes:
        parts: The names on the way from the root.
        before: What was there.
        after: What is there once it is done.
    """

    model_config = ConfigDict(frozen=True)

    parts: tuple[str, ...]
    before: FileState
    after: FileState


class KeyRecord(BaseModel):
    """What became of the call with a key.

    Attributes:
        state: ``begun`` while it is unknown whether the change was made; ``done``; ``undone``, also where the
            undo came first.
        task_id: The task.
        output: What the call has answered.
        places: What it changes, in this order.
    """

    model_config = ConfigDict(frozen=True)

    state: Literal["begun", "done", "undone"]
    task_id: str
    output: Any = None
    places: tuple[PlaceChange, ...] = ()


class FileJournal:
    """The records below one root; it is used while its lock is held."""

    def __init__(self, root: Path) -> None:
        """Takes a root; see `locked`."""
        self.root = root
        self._hidden = root / HIDDEN

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps all others out, for as long as it lasts or this process lives.

        Raises:
            NotApplied: The hidden folder cannot be made or written to.
        """
        try:
            for folder in (self._hidden, *(self._hidden / name for name in ("keys", "kept", "new"))):
                folder.mkdir(mode=0o700, exist_ok=True)
                if folder.is_symlink():
                    raise NotApplied(f"{folder} is a symbolic link, and those are not followed")
            lock = os.open(
                self._hidden / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise NotApplied(f"{self._hidden} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def read(self, key: str) -> KeyRecord | None:
        """Returns what is known of a key."""
        try:
            return KeyRecord.model_validate_json((self._hidden / "keys" / _file(key)).read_bytes())
        except FileNotFoundError:
            return None

    def write(self, key: str, record: KeyRecord) -> None:
        """Keeps a record, whole or not at all, also when the machine loses its power."""
        place = self._hidden / "keys" / _file(key)
        written = place.with_suffix(".part")
        with written.open("wb") as file:
            file.write(record.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        written.replace(place)
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, key: str) -> None:
        """Removes all that is known of a key whose change was not made."""
        (self._hidden / "keys" / _file(key)).unlink(missing_ok=True)
        self.forget_files(key)

    def prepared(self, key: str) -> Path:
        """Where a new file is written before it is put in its place."""
        return self._hidden / "new" / _file(key)

    def kept(self, key: str) -> Path:
        """Where the file is that was there before."""
        return self._hidden / "kept" / _file(key)

    def keep(self, key: str, spot: Spot) -> None:
        """Keeps the file at a place.

        Raises:
            NotApplied: The file system has no second links, or the worker may not make one.
        """
        try:
            with spot.parent() as parent:
                os.link(spot.name, self.kept(key), src_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise NotApplied(f"{spot} cannot be kept for its undo: {error.strerror}") from None

    def forget_files(self, key: str) -> None:
        """Removes what is kept and prepared for a key."""
        for file in (self.kept(key), self.prepared(key)):
            with suppress(FileNotFoundError):
                file.unlink()


def _file(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
