"""Writes the commands that are printed for people to type."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def command_line(name: str, *arguments: str, options: Sequence[str] = (), server: Sequence[str] = ()) -> str:
    """Writes a command as a shell takes it.

    Args:
        name: The name of the command.
        arguments: Its arguments, e.g. ids; one that begins like an option is escaped.
        options: The options that follow the arguments.
        server: The options with which the command reaches the server.

    Returns:
        The line.
    """
    if any(argument.startswith("-") for argument in arguments):
        return shlex.join(["counterstep", name, *options, *server, "--", *arguments])
    return shlex.join(["counterstep", name, *arguments, *options, *server])
