"""What is at a place: nothing, a file or a folder, and whether it is still the same."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ..saga.errors import NotApplied
from .roots import Spot


class FileState(BaseModel):
    """What is at a place.

    Attributes:
        kind: What it is; ``other`` for links, sockets and the like, which are never touched.
        mode: Its permissions.
        inode: Of a file: which one it is.
        size: Of a file.
        mtime_ns: Of a file: when it was last written.
        sha256: Of a file that we have written ourselves: the hash of its content.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["absent", "file", "folder", "other"]
    mode: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""

    @property
    def told(self) -> str:
        """How a message tells of it."""
        return {"absent": "not there", "file": "a file", "folder": "a folder"}.get(
            self.kind, "something else"
        )


ABSENT = FileState(kind="absent")


def look(spot: Spot) -> FileState:
    """Returns what is at a place; nothing, if a folder on the way is not there."""
    try:
        with spot.parent() as parent:
            return state_of(os.stat(spot.name, dir_fd=parent, follow_symlinks=False))
    except FileNotFoundError:
        return ABSENT


def state_of(found: os.stat_result, sha256: str = "") -> FileState:
    """Reads what the system says of something."""
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISDIR(found.st_mode):
        return FileState(kind="folder", mode=mode)
    if not stat.S_ISREG(found.st_mode):
        return FileState(kind="other")
    return FileState(
        kind="file",
        mode=mode,
        inode=found.st_ino,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        sha256=sha256,
    )


def is_still(spot: Spot, known: FileState) -> bool:
    """Says whether a place is as it was known: the very same file untouched, or one with the same content."""
    now = look(spot)
    if now.kind != known.kind or now.kind == "other":
        return False
    if now.kind != "file":
        return True
    if now.mode != known.mode or now.size != known.size:
        return False
    if (now.inode, now.mtime_ns) == (known.inode, known.mtime_ns):
        return True
    return bool(known.sha256) and hashlib.sha256(read_bytes(spot)).hexdigest() == known.sha256


def read_bytes(spot: Spot, limit: int | None = None) -> bytes:
    """Reads a file.

    Args:
        spot: Where it is.
        limit: The most bytes; None for any number.

    Raises:
        NotApplied: There is no file, or it is too large.
    """
    try:
        with spot.parent() as parent:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(spot.name, flags, dir_fd=parent), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise NotApplied(f"{spot} is not a file")
                content = file.read() if limit is None else file.read(limit + 1)
    except FileNotFoundError:
        raise NotApplied(f"there is no file {spot}") from None
    except OSError as error:
        raise NotApplied(_unreadable(spot, error)) from None
    if limit is not None and len(content) > limit:
        raise NotApplied(f"{spot} has more than {limit} bytes, which is the most that can be read at once")
    return content


def _unreadable(spot: Spot, error: OSError) -> str:
    try:
        kind = look(spot).kind
    except OSError:  # a name that is too long, a folder that may not be searched
        kind = "file"
    if kind == "file":
        return f"{spot}: {error.strerror}"
    return f"{spot} {'is a folder' if kind == 'folder' else 'is not a file, and links are not followed'}"
