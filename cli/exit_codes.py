"""The exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command."""

    COMPLETED = 0
    ROLLED_BACK = 1
    BAD_USAGE = 2
    INCOMPLETE = 3
    NO_SERVER = 4
    INTERNAL = 70
    IO_FAILED = 74
    CANCELLED = 130
