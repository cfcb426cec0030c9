"""The embedded Temporal server: one detached process a folder, shared by every client of that folder."""

from .binary import find_program
from .lifecycle import ensure, running, stop
from .server import EmbeddedServer

__all__ = ["EmbeddedServer", "ensure", "find_program", "running", "stop"]
