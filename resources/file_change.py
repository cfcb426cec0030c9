"""A change of files or folders under a key: made once, taken back once, and refused after its undo."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..saga.errors import NotApplied
from .changed_since import changed_since
from .file_journal import FileJournal, KeyRecord, PlaceChange
from .file_state import ABSENT, FileState, is_still, look, state_of
from .roots import Spot

NEW_FILE: Final = 0o644
NEW_FOLDER: Final = 0o755


class FileChange:
    """Plans a change below one root; `make` makes it."""

    def __init__(self, journal: FileJournal, key: str) -> None:
        """Begins a plan.

        Args:
            journal: Of the root; its lock is held.
            key: The call's key.
        """
        self._journal = journal
        self._key = key
        self._places: list[PlaceChange] = []
        self._acts: list[Callable[[], None]] = []

    def put(self, spot: Spot, content: bytes, mode: int | None) -> FileState:
        """Plans a file with a content, in the place of one that is there; returns what it will be."""
        before = look(spot)
        _expect(before.kind in ("absent", "file"), f"{spot} is {before.told}, and not a file")
        _expect(_has_parent(spot), f"there is no folder {Path(str(spot)).parent}; make it first")
        if before.kind == "file":
            self._journal.keep(self._key, spot)
        prepared = self._journal.prepared(self._key)
        wanted = mode if mode is not None else before.mode if before.kind == "file" else NEW_FILE
        with prepared.open("xb") as file:
            file.write(content)
            os.fchmod(file.fileno(), wanted)
            file.flush()
            os.fsync(file.fileno())
            after = state_of(os.fstat(file.fileno()), hashlib.sha256(content).hexdigest())
        self._plan(spot, before, after, lambda: _rename_into(prepared, spot))
        return after

    def remove(self, spot: Spot) -> FileState:
        """Plans that a file goes; returns what it is."""
        before = look(spot)
        _expect(before.kind == "file", f"{spot} is {before.told}, and not a file")
        self._journal.keep(self._key, spot)
        self._plan(spot, before, ABSENT, lambda: _unlink(spot))
        return before

    def move(self, source: Spot, target: Spot) -> FileState:
        """Plans that a file goes to another place, where nothing is; returns what it is."""
        _expect(source.root == target.root, f"{source} and {target} are below different roots")
        before = look(source)
        _expect(before.kind == "file", f"{source} is {before.told}, and not a file")
        _expect(look(target).kind == "absent", f"{target} is there already")
        _expect(_has_parent(target), f"there is no folder {Path(str(target)).parent}; make it first")
        self._journal.keep(self._key, source)
        kept = self._journal.kept(self._key)
        self._plan(target, ABSENT, before, lambda: _link_into(kept, target))
        self._plan(source, before, ABSENT, lambda: _unlink(source))
        return before

    def make_folder(self, spot: Spot) -> bool:
        """Plans a folder; returns whether it is a new one."""
        before = look(spot)
        _expect(before.kind in ("absent", "folder"), f"{spot} is {before.told}, and not a folder")
        _expect(_has_parent(spot), f"there is no folder {Path(str(spot)).parent}; make it first")
        if before.kind == "absent":
            self._plan(
                spot, before, FileState(kind="folder", mode=NEW_FOLDER), lambda: _mkdir(spot, NEW_FOLDER)
            )
        return before.kind == "absent"

    def remove_folder(self, spot: Spot) -> None:
        """Plans that an empty folder goes."""
        before = look(spot)
        _expect(before.kind == "folder", f"{spot} is {before.told}, and not a folder")
        with spot.folder() as folder:
            _expect(not os.listdir(folder), f"{spot} is not empty; delete what is in it first")
        self._plan(spot, before, ABSENT, lambda: _rmdir(spot))

    def make(self, task_id: str, output: Any) -> None:
        """Makes the planned change; first it is written down what it will be, and what was there.

        Raises:
            NotApplied: The system does not let the worker make it; what was made of it is taken back.
        """
        begun = KeyRecord(state="begun", task_id=task_id, output=output, places=tuple(self._places))
        self._journal.write(self._key, begun)
        try:
            for act in self._acts:
                act()
        except OSError as error:
            _take_back(self._journal, self._key, begun)
            self._journal.forget(self._key)
            raise NotApplied(f"nothing was changed: {error.strerror}") from None
        self._journal.write(self._key, begun.model_copy(update={"state": "done"}))

    def _plan(self, spot: Spot, before: FileState, after: FileState, act: Callable[[], None]) -> None:
        self._places.append(PlaceChange(parts=spot.parts, before=before, after=after))
        self._acts.append(act)


def change_files(
    root: Path, key: str, task_id: str, plan: Callable[[FileChange], dict[str, Any]]
) -> dict[str, Any]:
    """Makes a change once for its key.

    Args:
        root: Below which it is made.
        key: The call's key.
        task_id: The task.
        plan: Plans it, and returns what the call answers.

    Returns:
        What the call answers, or has answered the first time.

    Raises:
        NotApplied: It was undone before, or it cannot be made.
    """
    journal = FileJournal(root)
    with journal.locked():
        known = journal.read(key)
        if known is not None and known.state == "undone":
            raise NotApplied("this call has been undone before")
        if known is not None and known.state == "done":
            answered: dict[str, Any] = known.output
            return answered
        if known is not None:  # its worker was killed in the middle: from the beginning
            _take_back(journal, key, known)
        journal.forget_files(key)
        change = FileChange(journal, key)
        try:
            output = plan(change)
        except NotApplied:
            journal.forget_files(key)
            raise
        except OSError as error:
            journal.forget_files(key)
            raise NotApplied(f"nothing was changed: {error.strerror}") from None
        change.make(task_id, output)
        return output


def is_known(root: Path, key: str) -> bool:
    """Says whether a call with a key has changed something below a root, or was undone there."""
    return FileJournal(root).read(key) is not None


def undo_files(root: Path, key: str, task_id: str) -> None:
    """Takes the change of a key back, once, and keeps a call with that key from ever making one.

    Raises:
        ApplicationError: Somebody else has changed one of its places since; nothing was taken back.
    """
    journal = FileJournal(root)
    with journal.locked():
        known = journal.read(key)
        if known is not None and known.state != "undone":
            _take_back(journal, key, known)
        if known is None or known.state != "undone":
            journal.write(key, KeyRecord(state="undone", task_id=task_id))
        journal.forget_files(key)


def _take_back(journal: FileJournal, key: str, record: KeyRecord) -> None:
    places = [(Spot(journal.root, place.parts), place) for place in reversed(record.places)]
    open_ = [(spot, place) for spot, place in places if not is_still(spot, place.before)]
    for spot, place in open_:
        if not is_still(spot, place.after):
            raise changed_since(f"{spot} was changed by somebody else since; look at it, and say what counts")
        if place.before.kind == "absent" and place.after.kind == "folder":
            with spot.folder() as folder:
                if os.listdir(folder):
                    raise changed_since(f"{spot} was made here, and others have put something into it since")
        if place.before.kind == "file" and not journal.kept(key).exists():
            raise changed_since(f"what was at {spot} is not kept any more, so it cannot be put back")
    for spot, place in open_:
        _restore(journal, key, spot, place.before, place.after)


def _restore(journal: FileJournal, key: str, spot: Spot, before: FileState, after: FileState) -> None:
    if before.kind == "folder":
        _mkdir(spot, before.mode)
    elif before.kind == "absent":
        (_rmdir if after.kind == "folder" else _unlink)(spot)
    else:
        prepared = journal.prepared(key)
        prepared.unlink(missing_ok=True)
        os.link(journal.kept(key), prepared)
        _rename_into(prepared, spot)


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise NotApplied(message)


def _has_parent(spot: Spot) -> bool:
    try:
        with spot.parent():
            return True
    except FileNotFoundError:
        return False


def _rename_into(source: Path, spot: Spot) -> None:
    with spot.parent() as parent:
        os.rename(source, spot.name, dst_dir_fd=parent)
        os.fsync(parent)


def _link_into(source: Path, spot: Spot) -> None:
    with spot.parent() as parent:
        os.link(source, spot.name, dst_dir_fd=parent)


def _unlink(spot: Spot) -> None:
    with spot.parent() as parent:
        os.unlink(spot.name, dir_fd=parent)
        os.fsync(parent)


def _mkdir(spot: Spot, mode: int) -> None:
    with spot.parent() as parent:
        os.mkdir(spot.name, mode, dir_fd=parent)
    with spot.folder() as folder:
        os.fchmod(folder, mode)


def _rmdir(spot: Spot) -> None:
    with spot.parent() as parent:
        os.rmdir(spot.name, dir_fd=parent)
