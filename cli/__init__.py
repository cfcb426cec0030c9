"""The client side: the command line, one file a command.

A command's file is loaded by all commands, so it imports what is heavy where it runs, and nothing but
`typer` and light modules of its own at the top; `counterstep --help` answers in a tenth of a second then.
"""

from .app import main

__all__ = ["main"]
