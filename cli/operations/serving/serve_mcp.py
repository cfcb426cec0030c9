"""Serves the tasks of some bundles as MCP tools, as the command line says."""

from __future__ import annotations

import getpass
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ....mcp_server.serve import guarded, http_sessions, serve_pipes
from ....mcp_server.server import TaskServer
from ....mcp_server.task_desk import TaskDesk
from ....runtime.web_server import THIS_MACHINE, serve
from ....saga.counted import counted
from ....saga.spec.catalog import Catalog
from ...arguments.server_target import ServerTarget
from ...errors import CommandFailed
from ...exit_codes import ExitCode
from ...terminal.output import data_stream, say
from .open_address import open_address

TOKEN: Final = "COUNTERSTEP_MCP_TOKEN"
"""The variable with what clients over HTTP have to show."""


@dataclass(frozen=True, slots=True)
class McpRequest:
    """What the command line says.

    Attributes:
        http: Where to serve over HTTP, as ``HOST:PORT``; None for the standard input and output.
        by: Who decides; None for the login name.
        token: A signed token that proves it, or None.
        task_queue: The queue of the workers.
    """

    http: str | None
    by: str | None
    token: str | None
    task_queue: str


async def serve_mcp(target: ServerTarget, request: McpRequest, catalog: Catalog) -> None:
    """Serves until the client closes the input, or the process is asked to stop.

    Args:
        target: The Temporal server.
        request: What the command line says.
        catalog: What the bundles offer.

    Raises:
        CommandFailed: There are no tasks, or the address cannot be used.
        ServerUnavailable: The Temporal server cannot be reached.
    """
    if not catalog.tasks:
        raise CommandFailed(
            "The bundles have no tasks to serve; name a bundle with --bundle, and register tasks in it with "
            "add_task.",
            code=ExitCode.BAD_USAGE,
        )
    where = None if request.http is None else _read_address(request.http)
    secret = os.environ.get(TOKEN) or None
    if where is not None and where[0] not in THIS_MACHINE and secret is None:
        message = f"{where[0]} can be reached by others: set {TOKEN} to what they have to show."
        raise CommandFailed(message, code=ExitCode.BAD_USAGE)
    client = await target.connect()
    by = request.by or (None if request.token else _login_name())
    desk = TaskDesk(client, catalog, request.task_queue, by, request.token)
    server = TaskServer(desk, catalog.tasks).made()
    if where is None:
        await serve_pipes(server, data_stream())
        return
    host, port = where
    listening, address = open_address(host, port)
    sessions = http_sessions(server, (address.removeprefix("http://"),))
    async with sessions.run():
        app = guarded(sessions.handle_request, secret)
        served = counted(len(catalog.tasks), "task")
        await serve(app, listening, lambda: say(f"{served} served at {address}/mcp"))


def _read_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise CommandFailed(f"--http takes HOST:PORT, not {text!r}.", code=ExitCode.BAD_USAGE)
    return host.strip("[]"), int(port)


def _login_name() -> str | None:
    with suppress(KeyError, OSError, ImportError):
        return getpass.getuser()
    return None
