"""Files and folders below the roots that the worker allows."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from ...bundle.current_step import current_step
from ...resources.file_change import FileChange, change_files
from ...resources.file_state import FileState, look, read_bytes
from ...resources.roots import HIDDEN, Spot, find_spot
from ...saga.errors import NotApplied

MOST_READ: Final = 500_000
"""Bytes of a file that is read: results are kept below 1 MB, and base64 needs more than the file has."""

MOST_LISTED: Final = 5000

Encoding = Literal["text", "base64"]


class StoredFile(BaseModel):
    """A file as it is now."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    mode: str


class FileContent(BaseModel):
    """A file and its content, as UTF-8 text or in base64."""

    model_config = ConfigDict(frozen=True)

    path: str
    content: str
    encoding: Encoding
    mode: str


class FolderMade(BaseModel):
    """A folder; it may have been there before."""

    model_config = ConfigDict(frozen=True)

    path: str
    is_new: bool


class Deleted(BaseModel):
    """What was deleted."""

    model_config = ConfigDict(frozen=True)

    path: str


class FolderEntry(BaseModel):
    """One thing in a folder."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Literal["file", "folder", "other"]
    size: int


def read_file(path: str, encoding: Encoding = "text") -> FileContent:
    """Reads a file of at most 500,000 bytes, as UTF-8 text or as base64."""
    spot = find_spot(path)
    content = read_bytes(spot, MOST_READ)
    (state,) = _looked(spot, [spot])
    if encoding == "base64":
        text = base64.b64encode(content).decode()
    else:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise NotApplied(f"{spot} is not UTF-8 text; read it with encoding base64") from None
    return FileContent(path=str(spot), content=text, encoding=encoding, mode=_octal(state.mode))


def list_folder(path: str) -> list[FolderEntry]:
    """Lists what is in a folder, by name."""
    spot = find_spot(path, root_itself=True)
    try:
        with spot.folder() as folder:
            names = sorted(name for name in os.listdir(folder) if name.casefold() != HIDDEN)
    except FileNotFoundError:
        raise NotApplied(f"there is no folder {spot}") from None
    if len(names) > MOST_LISTED:
        raise NotApplied(f"{spot} has {len(names)} entries; {MOST_LISTED} are the most that are listed")
    states = _looked(spot, [Spot(spot.root, (*spot.parts, name)) for name in names])
    return [
        FolderEntry(name=name, kind=state.kind, size=state.size)
        for name, state in zip(names, states, strict=True)
        if state.kind != "absent" and name.isprintable()
    ]


def write_file(path: str, content: str, encoding: Encoding = "text", mode: str | None = None) -> StoredFile:
    """Writes a file, whole or not at all; one that is there is replaced, and keeps its mode by default."""
    spot, data, permissions = find_spot(path), _bytes(content, encoding), _mode(mode)

    def plan(change: FileChange) -> dict[str, Any]:
        after = change.put(spot, data, permissions)
        return {"path": str(spot), "size": after.size, "mode": _octal(after.mode)}

    return StoredFile.model_validate(_change(spot, plan))


def append_file(path: str, content: str, encoding: Encoding = "text") -> StoredFile:
    """Adds to the end of a file, or begins one."""
    spot, data = find_spot(path), _bytes(content, encoding)

    def plan(change: FileChange) -> dict[str, Any]:
        old = b"" if look(spot).kind == "absent" else read_bytes(spot, 100 * MOST_READ)
        after = change.put(spot, old + data, None)
        return {"path": str(spot), "size": after.size, "mode": _octal(after.mode)}

    return StoredFile.model_validate(_change(spot, plan))


def delete_file(path: str) -> Deleted:
    """Deletes a file."""
    spot = find_spot(path)

    def plan(change: FileChange) -> dict[str, Any]:
        change.remove(spot)
        return {"path": str(spot)}

    return Deleted.model_validate(_change(spot, plan))


def move_file(path: str, to: str) -> StoredFile:
    """Moves or renames a file; where it goes, nothing may be yet."""
    source, target = find_spot(path), find_spot(to)

    def plan(change: FileChange) -> dict[str, Any]:
        state = change.move(source, target)
        return {"path": str(target), "size": state.size, "mode": _octal(state.mode)}

    return StoredFile.model_validate(_change(source, plan))


def make_folder(path: str) -> FolderMade:
    """Makes a folder in one that is there; it is no fault if there is one already."""
    spot = find_spot(path)

    def plan(change: FileChange) -> dict[str, Any]:
        return {"path": str(spot), "is_new": change.make_folder(spot)}

    return FolderMade.model_validate(_change(spot, plan))


def delete_folder(path: str) -> Deleted:
    """Deletes a folder that is empty."""
    spot = find_spot(path)

    def plan(change: FileChange) -> dict[str, Any]:
        change.remove_folder(spot)
        return {"path": str(spot)}

    return Deleted.model_validate(_change(spot, plan))


def _looked(what: Spot, spots: list[Spot]) -> list[FileState]:
    try:
        return [look(spot) for spot in spots]
    except OSError as error:
        raise NotApplied(f"{what}: {error.strerror}") from None


def _change(spot: Spot, plan: Callable[[FileChange], dict[str, Any]]) -> dict[str, Any]:
    step = current_step()
    return change_files(spot.root, step.idempotency_key, step.task_id, plan)


def _bytes(content: str, encoding: Encoding) -> bytes:
    try:
        return content.encode() if encoding == "text" else base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise NotApplied(f"the content is not {'UTF-8 text' if encoding == 'text' else 'base64'}") from None


def _mode(mode: str | None) -> int | None:
    if mode is None:
        return None
    if not re.fullmatch(r"0?[0-7]{3}", mode):
        raise NotApplied(f"{mode!r} is not a mode; write three octal digits, e.g. 640")
    return int(mode, 8)


def _octal(mode: int) -> str:
    return f"{mode:03o}"
