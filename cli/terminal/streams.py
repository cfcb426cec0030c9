"""Makes the standard streams of the process usable, whatever it was started with."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class _Lossy(io.FileIO):
    """A stream for people that drops what it cannot write, e.g. to a closed pipe or a full disk."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def open_streams() -> None:
    """Opens the standard streams that are closed, and makes sure that writing to stderr cannot fail.

    If a stream stayed closed, the next opened file would get its file descriptor, and everything written to
    the stream would end up in that file.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    encoding = sys.stderr.encoding if sys.stderr is not None else None
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Lossy(2, "w", closefd=False)),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def take_stdout() -> TextIO:
    """Returns a stream that writes to stdout, and redirects stdout itself to stderr from now on.

    This also redirects code that writes to the file descriptor, such as a library in another language or a
    child process.
    """
    data, sys.stdout = sys.stdout, sys.stderr
    with suppress(OSError, ValueError):
        data.flush()
        if data.fileno() == 1:
            kept = open(os.dup(1), "w", encoding=data.encoding, errors=data.errors)  # noqa: SIM115
            os.dup2(2, 1)
            return kept
    return data
