"""Opens the address at which a command serves."""

from __future__ import annotations

import socket

from ....runtime.web_server import open_socket
from ...errors import CommandFailed
from ...exit_codes import ExitCode


def open_address(host: str, port: int) -> tuple[socket.socket, str]:
    """Opens an address before anything is said of it.

    Args:
        host: The address to listen on.
        port: The port; 0 for any.

    Returns:
        What listens there, and its url.

    Raises:
        CommandFailed: It cannot be opened.
    """
    try:
        listening = open_socket(host, port)
    except OSError as error:
        message = f"{host}:{port} cannot be opened: {error.strerror or error}."
        raise CommandFailed(message, code=ExitCode.IO_FAILED, type="PortInUse") from None
    shown = f"[{host}]" if ":" in host else host
    return listening, f"http://{shown}:{listening.getsockname()[1]}"
