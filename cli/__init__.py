"""The command line, with one file for each command.

Every command loads the files of all commands. A command's file therefore imports only `typer` and light
modules at its top, and everything slow inside of its functions, so that `counterstep --help` answers in a
tenth of a second.
"""

from __future__ import annotations

from typing import NoReturn

from ..runtime.process import end_process


def main() -> NoReturn:
    """Runs the command line that the process was started with, and ends the process."""
    code = 130
    try:
        # From here on an interrupt is reported in one sentence, even while the commands are being loaded.
        from .app import run_command_line

        code = run_command_line()
    except KeyboardInterrupt:
        pass
    end_process(code)


__all__ = ["main"]
