"""What a command prints: data on stdout, everything for people on stderr."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any, TextIO

_data: TextIO | None = None


def keep_stdout_for_data() -> None:
    """Sends to stderr what anything else prints: bundles and tools are other people's code."""
    global _data
    _data, sys.stdout = sys.stdout, sys.stderr


def emit(value: Any) -> None:
    """Prints one JSON value as data."""
    stream = _data or sys.stdout
    as_utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    emit_text(json.dumps(value, indent=2, ensure_ascii=not as_utf8))


def emit_text(text: str) -> None:
    """Prints text as data."""
    with suppress(BrokenPipeError):
        stream = _data or sys.stdout
        stream.write(text + "\n")
        stream.flush()


def say(text: str) -> None:
    """Prints a line for people."""
    with suppress(BrokenPipeError):
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


def printable(text: str) -> str:
    """Shows control characters instead of sending them: models and tools must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)
