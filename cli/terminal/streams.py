"""The standard streams of the process, whatever it was started with."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class _Lossy(io.FileIO):
    """A stream for people, who may be gone, or whose disk is full: what it cannot write is lost, no more."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def open_streams() -> None:
    """Opens what is closed, and makes stderr one that cannot fail.

    Where a stream is closed, the next file that is opened would take its number, and whoever writes to the
    stream writes into that file.
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
    """Returns a stream to where stdout leads, and leads stdout itself to stderr from now on.

    Also for what writes to its number: a library in another language, or a process that is started.
    """
    data, sys.stdout = sys.stdout, sys.stderr
    with suppress(OSError, ValueError):
        data.flush()
        if data.fileno() == 1:
            kept = open(os.dup(1), "w", encoding=data.encoding, errors=data.errors)  # noqa: SIM115
            os.dup2(2, 1)
            return kept
    return data
