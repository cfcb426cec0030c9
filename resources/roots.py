"""Paths below the roots that a worker allows: never out of them, and never through a symbolic link.

Each folder of a path is opened from the one above it, without following links, and everything is done in the
folder that was opened so: a path that somebody swaps meanwhile for a link leads nowhere else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from ..saga.errors import NotApplied
from .stock_settings import read_stock_settings

HIDDEN: Final = ".counterstep"
"""In each root: keys, and what was there before a change."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a root.

    Attributes:
        root: The root, without symbolic links.
        parts: The names on the way from the root; none for the root itself.
    """

    root: Path
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.root.joinpath(*self.parts))

    @contextmanager
    def parent(self) -> Iterator[int]:
        """Opens the folder that it is in.

        Raises:
            FileNotFoundError: That is not there.
            NotApplied: Something on the way is a symbolic link, or is not a folder.
        """
        with _opened(self.root, self.parts[:-1]) as folder:
            yield folder

    @contextmanager
    def folder(self) -> Iterator[int]:
        """Opens the folder that it is; raises what `parent` raises."""
        with _opened(self.root, self.parts) as folder:
            yield folder

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]


def find_spot(path: str, *, root_itself: bool = False) -> Spot:
    """Finds the root that a path is in.

    Args:
        path: An absolute path, or one from the first root.
        root_itself: Whether it may be a root.

    Raises:
        NotApplied: It is outside of the roots, or there are none.
    """
    if fault := path_fault(path):
        raise NotApplied(fault)
    roots = read_stock_settings().roots
    if not roots:
        raise NotApplied("this worker allows no files: COUNTERSTEP_STOCK_ROOTS is not set")
    pure = PurePosixPath(path)
    absolute = pure if pure.is_absolute() else PurePosixPath(roots[0]) / pure
    known = [(given, Path(root).resolve()) for root in roots for given in (root, str(Path(root).resolve()))]
    inside = [(given, real) for given, real in known if absolute.is_relative_to(PurePosixPath(given))]
    if not inside:
        raise NotApplied(f"{path!r} is outside of the roots of this worker ({', '.join(roots)})")
    given, real = max(inside, key=lambda pair: len(PurePosixPath(pair[0]).parts))
    parts = absolute.relative_to(PurePosixPath(given)).parts
    if not parts and not root_itself:
        raise NotApplied(f"{path!r} is a root of this worker, and not something in it")
    return Spot(real, parts)


def all_roots() -> list[Path]:
    """Returns the roots that the worker allows, without symbolic links."""
    return list(dict.fromkeys(Path(root).resolve() for root in read_stock_settings().roots))


def path_fault(path: str) -> str:
    """Says why a path can be used nowhere, whatever the roots; empty if it can."""
    if "\0" in path or not path.strip() or not _is_text(path):
        return f"{path!r} is not a path"
    parts = PurePosixPath(path).parts
    if ".." in parts:
        return f"{path!r} goes upwards; write the path without '..'"
    if any(part.casefold() == HIDDEN for part in parts):
        return f"{path!r} is in {HIDDEN}, where Counterstep keeps what undos need"
    return ""


@contextmanager
def _opened(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, part in enumerate(parts, 1):
            try:
                inner = os.open(part, _FOLDER, dir_fd=folder)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise NotApplied(_obstacle(folder, root.joinpath(*parts[:number]), error)) from None
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _obstacle(folder: int, path: Path, error: OSError) -> str:
    try:
        mode = os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        mode = 0
    if stat.S_ISLNK(mode):
        return f"{path} is a symbolic link, and those are not followed"
    return f"{path} is not a folder" if not stat.S_ISDIR(mode) else f"{path}: {error.strerror}"


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
