"""Serves web applications; only what does so loads this."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")
"""By these names only what runs here reaches a server."""


def open_socket(host: str, port: int) -> socket.socket:
    """Opens the port, so that it is known to be free before anything is said.

    Returns:
        What listens there.

    Raises:
        OSError: It cannot be opened; its `strerror` says why, in a few words.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno is None or isinstance(error, socket.gaierror):
            raise
        # Python adds the address, which whoever shows the error names as well.
        raise OSError(error.errno, os.strerror(error.errno)) from None
    # Without this, the second part of an answer waits up to 40 ms for the client to acknowledge the first;
    # asyncio sees to it only for sockets that it has made itself.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Returns how uvicorn serves it."""
    # A header that anybody can send must not change from where a request seems to come.
    return uvicorn.Config(
        app,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=10,
    )


async def serve(app: ASGIApp, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serves until SIGINT or SIGTERM; requests under way are finished then.

    Args:
        app: The application.
        listening: Where.
        ready: Called once it is about to serve.
    """
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # uvicorn sends the signal once more when it is done; then it has been obeyed already.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    ready()
    await uvicorn.Server(server_config(app)).serve(sockets=[listening])
