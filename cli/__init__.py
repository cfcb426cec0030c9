"""The client side: the command line, one file a command.

A command's file is loaded by all commands, so it imports what is heavy where it runs, and nothing but
`typer` and light modules of its own at the top; `counterstep --help` answers in a tenth of a second then.
"""

from __future__ import annotations

from typing import NoReturn

from ..runtime.process import end_process


def main() -> NoReturn:
    """Runs the command line that the process was started with, and ends the process."""
    code = 130
    try:
        # An interrupt is told in one sentence from here on, also while the commands are loaded.
        from .app import run_command_line

        code = run_command_line()
    except KeyboardInterrupt:
        pass
    end_process(code)


__all__ = ["main"]
