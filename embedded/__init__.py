"""The embedded Temporal server: one detached process for each folder, shared by all clients there."""

from .binary import find_program
from .lifecycle import ensure, running, stop
from .server import EmbeddedServer

__all__ = ["EmbeddedServer", "ensure", "find_program", "running", "stop"]
