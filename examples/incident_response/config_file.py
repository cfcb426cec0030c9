"""The service's configuration file: one setting a line, and comments that have to survive a change."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from counterstep import NotApplied


def value_of(text: str, setting: str) -> str:
    """Returns what a setting is set to; raises `NotApplied` if the file does not have it."""
    found = _line(setting).search(text)
    if found is None:
        raise NotApplied(f"there is no setting {setting!r}; there are {', '.join(settings(text))}")
    return found["value"]


def changed(text: str, setting: str, value: str) -> str:
    """Returns the file with another value in one line, and everything else as it is."""
    if set(value) & {"\n", "\r"}:
        raise NotApplied("a value is one line")
    value_of(text, setting)
    return _line(setting).sub(lambda found: f"{found['name']}={value}", text)


def restored(text: str, before: str, setting: str, value: str) -> str:
    """Undoes a change.

    Args:
        text: The file as it is.
        before: The file as it was before the change.
        setting: What was changed.
        value: What it was changed to.

    Returns:
        The file as it was before. Where it has been changed by others since, only this setting is put back,
        and not even that where the others have changed it too.
    """
    if text == changed(before, setting, value):
        return before
    if value_of(text, setting) != value:
        return text
    return changed(text, setting, value_of(before, setting))


def settings(text: str) -> dict[str, str]:
    """Returns all settings of a file, in its order."""
    return {found["name"]: found["value"] for found in _line(r"\w+").finditer(text)}


def read(path: Path) -> str:
    """Returns a file byte for byte, with the ends of its lines as they are."""
    return path.read_bytes().decode()


def write(path: Path, text: str) -> None:
    """Replaces a file at once: whoever reads it, or is killed, finds the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        shutil.copymode(path, new)
    new.replace(path)


def _line(setting: str) -> re.Pattern[str]:
    name = setting if setting == r"\w+" else re.escape(setting)
    return re.compile(rf"^(?P<name>{name})=(?P<value>[^\r\n]*)", re.MULTILINE)
