"""Reads a small file that an operator has named."""

from __future__ import annotations

from pathlib import Path

from ..saga.errors import DefinitionError


def read_text_file(path: Path, what: str = "") -> str:
    """Reads a file.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        DefinitionError: It cannot be read, or is not text.
    """
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DefinitionError(f"{what} {str(path)!r} cannot be read: {reason}".lstrip()) from None
