"""``counterstep server``: the embedded Temporal of this folder, with its Web UI."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .failure import CommandFailed, ExitCode
from .options import Json
from .output import emit, say

if TYPE_CHECKING:
    from ..embedded import EmbeddedServer

LOOK_SECONDS: Final = 0.5
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="The port of the Temporal service.")]


def server(
    stop_it: Annotated[bool, typer.Option("--stop", help="End the server of this folder.")] = False,
    port: Port = None,
    ui_port: Annotated[int | None, typer.Option(min=1, max=65535, help="The port of the Web UI.")] = None,
    json: Json = False,
) -> None:
    """Run the embedded Temporal server of this folder, with its Web UI, until Ctrl-C.

    Its histories stay in .counterstep/ and are there when it is started again.
    """
    from ..embedded import ensure, running, stop

    folder = Path.cwd()
    if stop_it:
        stopped = stop(folder)
        say("The server of this folder is stopped." if stopped else "No server runs for this folder.")
        if json:
            emit({"stopped": stopped})
        return
    was_running = running(folder) is not None
    started = ensure(folder, port, ui_port)
    interrupted = asyncio.new_event_loop().run_until_complete(_until_over(started, json=json))
    if not interrupted:
        raise CommandFailed("The server has ended.", code=ExitCode.NO_SERVER, type="ServerUnavailable")
    if was_running:
        say("It was running before and goes on; `counterstep server --stop` ends it.")
    else:
        stop(folder)
        say("The server is stopped; its histories are kept.")


async def _until_over(server: EmbeddedServer, *, json: bool) -> bool:
    """Says where the server is and waits for a signal, or its end; returns whether it was a signal."""
    from ..embedded import running
    from .signals import Signals

    # Before anybody is told that it runs, and may interrupt it.
    signal = asyncio.create_task(Signals().next())
    say(f"Temporal at {server.address}, Web UI at {server.ui_url}")
    if json:
        emit({"address": server.address, "ui_url": server.ui_url, "pid": server.pid})
    while not signal.done():
        if running(server.folder) is None:
            return False
        await asyncio.wait({signal}, timeout=LOOK_SECONDS)
    return True
