"""``counterstep server``: the embedded Temporal of this folder, with its Web UI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..arguments.options import Json
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import emit, say

if TYPE_CHECKING:
    from ...embedded import EmbeddedServer

LOOK_SECONDS: Final = 0.5
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The port of the Temporal service.")]


def server(
    stop_it: Annotated[bool, typer.Option("--stop", help="End the server of this folder.")] = False,
    port: Port = None,
    ui_port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port of the Web UI.")] = None,
    json: Json = False,
) -> None:
    """Run the embedded Temporal server of this folder, with its Web UI, until Ctrl-C.

    Its histories stay in .counterstep/ and are there when it is started again. If it runs already, the
    command says where and exits with 0 at once; where it has other ports than those asked for, with 4.
    """
    import asyncio

    from ...embedded import ensure, running, stop

    folder = Path.cwd()
    if stop_it:
        stopped = stop(folder)
        say("The server of this folder is stopped." if stopped else "No server runs for this folder.")
        if json:
            emit({"stopped": stopped})
        return
    if port is not None and port == ui_port:
        raise CommandFailed("--port and --ui-port are the same; the Web UI needs a port of its own.")
    if running(folder) is not None:
        known = ensure(folder, port, ui_port)
        say(f"It runs already: Temporal at {known.address}, Web UI at {known.ui_url}")
        say("`counterstep server --stop` ends it.")
        _print(known, json=json)
        return
    asyncio.new_event_loop().run_until_complete(_until_interrupted(folder, port, ui_port, json=json))
    stop(folder)
    say("The server is stopped; its histories are kept.")


def _print(server: EmbeddedServer, *, json: bool) -> None:
    if json:
        emit({"address": server.address, "ui_url": server.ui_url, "pid": server.pid})


async def _until_interrupted(folder: Path, port: int | None, ui_port: int | None, *, json: bool) -> None:
    """Starts the server, says where it is, and waits for a signal."""
    import asyncio

    from ...embedded import ensure, running
    from ..terminal.signals import Signals

    # Signals are caught before the server starts, so that a server that was started is also stopped.
    signals = Signals()
    signal = asyncio.create_task(signals.next())
    starting = asyncio.create_task(asyncio.to_thread(ensure, folder, port, ui_port))
    await asyncio.wait({starting, signal}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        say("Interrupted; the server is stopped once it has started. Ctrl-C again leaves it.")
        await asyncio.wait(
            {starting, asyncio.create_task(signals.next())}, return_when=asyncio.FIRST_COMPLETED
        )
        if not starting.done():
            message = "Interrupted; `counterstep server --stop` ends the server if it has started."
            raise CommandFailed(message, code=ExitCode.CANCELLED, type="Interrupted")
    server = starting.result()
    if signal.done():
        return
    say(f"Temporal at {server.address}, Web UI at {server.ui_url}")
    _print(server, json=json)
    while not signal.done():
        if running(folder) is None:
            raise CommandFailed("The server has ended.", code=ExitCode.NO_SERVER, type="ServerUnavailable")
        await asyncio.wait({signal}, timeout=LOOK_SECONDS)
