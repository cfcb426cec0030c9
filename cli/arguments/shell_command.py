"""Commands that are printed to be typed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def command_line(name: str, *arguments: str, options: Sequence[str] = (), server: Sequence[str] = ()) -> str:
    """Writes a command as a shell takes it.

    Args:
        name: Of the command.
        arguments: Ids and the like; one that begins like an option is kept from being taken for one.
        options: What stands behind them.
        server: The options that lead the command to the server.

    Returns:
        The line.
    """
    if any(argument.startswith("-") for argument in arguments):
        return shlex.join(["counterstep", name, *options, *server, "--", *arguments])
    return shlex.join(["counterstep", name, *arguments, *options, *server])
