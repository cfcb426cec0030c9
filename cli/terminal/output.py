"""What a command prints: data on stdout, and everything for people on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

from ..errors import CommandFailed
from ..exit_codes import ExitCode
from .streams import take_stdout

_data: TextIO | None = None
_has_emitted = False


def keep_stdout_for_data() -> None:
    """Sends to stderr whatever other code prints, because bundles and tools are other people's code."""
    global _data
    _data = take_stdout()


def data_stream() -> TextIO:
    """Returns the stream for data, for a command that writes a protocol there."""
    return _data or sys.stdout


def has_emitted() -> bool:
    """Returns whether any data has been printed."""
    return _has_emitted


def emit(value: Any) -> None:
    """Prints one JSON value as data; raises what `emit_text` raises."""
    emit_text(json.dumps(value, indent=2, ensure_ascii=_only_ascii()))


def emit_lines(values: Iterable[Any]) -> None:
    """Prints JSON values as data, one a line; raises what `emit_text` raises."""
    emit_text("\n".join(json.dumps(value, ensure_ascii=_only_ascii()) for value in values))


def _only_ascii() -> bool:
    return ((_data or sys.stdout).encoding or "").lower().replace("-", "") != "utf8"


def emit_text(text: str) -> None:
    """Prints text as data.

    Raises:
        CommandFailed: The text cannot be written, e.g. to a full disk. If the reader has gone, the text is
            dropped without an error.
    """
    global _has_emitted
    _has_emitted = True
    try:
        with suppress(BrokenPipeError):
            stream = _data or sys.stdout
            stream.write(text + "\n")
            stream.flush()
    except OSError as error:
        message = f"What the command prints cannot be written ({error.strerror}); what it was to do is done."
        raise CommandFailed(message, code=ExitCode.IO_FAILED, type="OutputLost") from None


def say(text: str) -> None:
    """Prints a line for people."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """Makes control characters visible, so that models and tools cannot control the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
