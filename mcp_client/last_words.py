"""What a server's program has written to its standard error output, which says best why it has ended."""

from __future__ import annotations

import os
import tempfile
from types import TracebackType
from typing import IO

from .leash import TOLD, VERDICT

MOST_READ = 10_000
"""Bytes; the leash writes less."""


class LastWords:
    """The standard error output of one program, in a file that is gone with it."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115

    def __enter__(self) -> LastWords:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.file.close()

    def told(self) -> str:
        """Returns why it has ended, if it has, and the last line that it has written."""
        if self.file.closed:
            return ""
        # The program may still write, at a position that it shares with us.
        written = os.pread(self.file.fileno(), MOST_READ, 0).decode(errors="replace")
        said, _, verdict = written.rpartition(VERDICT) if VERDICT in written else (written, "", "")
        lines = said.split("\n")
        if len(said.encode()) >= TOLD - len(verdict.encode()) - 10:
            lines = lines[1:]  # it was cut, perhaps in the middle of a secret
        whole = [line.strip() for line in lines if line.strip()]
        return ": ".join(part for part in (verdict.strip(), *whole[-1:]) if part)
