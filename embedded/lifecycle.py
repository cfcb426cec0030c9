"""Starts, finds and stops the embedded server of a folder."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from ..saga.errors import ServerUnavailable
from ..saga.record.search_attributes import SEARCH_ATTRIBUTES
from .binary import find_program
from .server import HOST, EmbeddedServer
from .state_folder import StateFolder, try_lock

START_ATTEMPTS: Final = 3
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02
SHOWN_CHARACTERS: Final = 2000
_TRACE: Final = re.compile(r"^(?:panic|fatal error): |^goroutine \d", re.MULTILINE)
"""Where the stack of a Go program begins, which is of no use to anybody here."""


class _PortTaken(ServerUnavailable):
    """Raised when another program uses a port that the server needs."""


def ensure(folder: Path, port: int | None = None, ui_port: int | None = None) -> EmbeddedServer:
    """Returns the folder's server, ready for clients, and starts it if it does not run.

    Any number of processes may call this at once: one of them starts the server, and the others wait for it.
    The server outlives its caller until `stop` is called. When it is started again, it has its histories, and
    its former ports if they are free. The call blocks until the server is ready, normally for 0.2 s.

    Args:
        folder: The folder whose ``.counterstep/`` holds the server's files.
        port: The port of the Temporal service; None for a free one.
        ui_port: The port of the Web UI; None for a free one.

    Returns:
        The running server.

    Raises:
        ServerUnavailable: The server cannot be started, or it already runs on other ports.
    """
    home = StateFolder(folder)
    if not home.exists():
        find_program()  # where there is none, no folder is left behind
    try:
        home.create()
    except OSError as error:
        raise ServerUnavailable(
            f"The embedded server cannot keep its files in {home.folder} ({error.filename}: "
            f"{error.strerror}); use a folder that you can write to, or name a running server with --address."
        ) from None
    with home.locked():
        server = running(folder)
        if server is None:
            return _start(home, port, ui_port)
        if port not in (None, server.port) or ui_port not in (None, server.ui_port):
            raise ServerUnavailable(
                f"The embedded server of {home.folder} runs already, at {server.address} with its Web UI at "
                f"{server.ui_url}; to move it, end it first: counterstep server --stop"
            )
        _await_ready(home, server, _size(home.log))
        return server


def running(folder: Path) -> EmbeddedServer | None:
    """Returns the folder's server if it runs.

    Args:
        folder: The folder whose ``.counterstep/`` holds the server's files.

    Returns:
        The server, or None if it does not run.
    """
    home = StateFolder(folder)
    return home.recorded() if home.is_alive() else None


def stop(folder: Path, grace: float = STOP_SECONDS) -> bool:
    """Stops the folder's server and keeps its histories.

    Args:
        folder: The folder whose ``.counterstep/`` holds the server's files.
        grace: How many seconds it has to end properly before it is killed.

    Returns:
        Whether a server was running.

    Raises:
        ServerUnavailable: It is no longer known which process the server is.
    """
    home = StateFolder(folder)
    if not home.exists():
        return False
    with home.locked():
        server = running(folder)
        if server is None:
            if home.is_alive():
                raise _lost(home)
            return False
        if grace > 0:
            _signal(server, signal.SIGTERM)
        if not _within(grace, lambda: not home.is_alive()):
            _kill(home, server)
        return True


def _start(home: StateFolder, port: int | None, ui_port: int | None) -> EmbeddedServer:
    program = find_program()
    last = home.recorded()
    home.forget()
    for attempt in range(1, START_ATTEMPTS + 1):
        free = _free_ports()
        chosen = (last.port, last.ui_port, last.api_port) if last and attempt == 1 else free
        # Whatever answers on the port would be mistaken for the server that is started now.
        api_port = free[2] if _is_taken(chosen[2]) else chosen[2]
        ports = (port or chosen[0], ui_port or chosen[1], api_port)
        log_start = _size(home.log)
        pid = _spawn(home, [str(program), *_arguments(home, *ports)])
        server = EmbeddedServer(
            folder=home.folder, pid=pid, port=ports[0], ui_port=ports[1], api_port=ports[2]
        )
        home.record(server)
        try:
            registered = _await_ready(home, server, log_start)
        except _PortTaken:
            # A remembered port, or one that was free a moment ago, can have been taken since.
            if attempt < START_ATTEMPTS:
                continue
            raise
        _register(program, server, registered)
        return server
    raise AssertionError("the last attempt returns or raises")


def _arguments(home: StateFolder, port: int, ui_port: int, api_port: int) -> list[str]:
    options: list[tuple[str, object]] = [
        ("ip", HOST),
        ("port", port),
        ("ui-port", ui_port),
        ("http-port", api_port),
        # Relative to its working directory: the server reads a path as a URI, where `%`, `?` and `#` mislead.
        ("db-filename", home.database.name),
        ("sqlite-pragma", "journal_mode=WAL"),
        # A killed server loses nothing by this, only a power cut takes back the last moments; waiting for the
        # disk at every write was a third of a task's time (https://sqlite.org/pragma.html#pragma_synchronous).
        ("sqlite-pragma", "synchronous=NORMAL"),
        # The limit of a development server, 20 a second, holds up every step by 50 ms.
        ("dynamic-config-value", "history.transferProcessorMaxPollRPS=2000"),
        # By default no timer fires, and no failed call is made again, within a second: the queue of timers
        # takes nothing that is due earlier than this from now (`updateScheduledTaskMaxReadLevel` in the
        # server's service/history/shard/context_impl.go).
        ("dynamic-config-value", 'history.timerProcessorMaxTimeShift="50ms"'),
        ("log-level", "error"),
        *(("search-attribute", f"{name}={kind}") for name, kind in SEARCH_ATTRIBUTES.items()),
    ]
    return ["server", "start-dev", *(f"--{name}={value}" for name, value in options)]


def _spawn(home: StateFolder, command: list[str]) -> int:
    """Starts the server as a detached process that holds the lock on ``alive.lock``; returns its process id.

    The shell in between ends at once, so that init adopts the server. No process has to wait for it then, and
    interrupts from the caller's terminal do not reach it.
    """
    with ExitStack() as stack:
        alive = stack.enter_context(open(home.alive, "ab"))
        # A process that asks whether the server runs holds this lock for an instant.
        if not _within(STOP_SECONDS, lambda: try_lock(alive, exclusive=True)):
            raise _lost(home)
        log = stack.enter_context(open(home.log, "ab"))
        launched = subprocess.run(
            ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[alive.fileno()],
            cwd=home.database.parent,
            env=_environment(),
            start_new_session=True,
            check=True,
        )
        return int(launched.stdout)


def _lost(home: StateFolder) -> ServerUnavailable:
    return ServerUnavailable(
        f"A server holds {home.alive}, but its server.json is gone; find its process with "
        f"`fuser {home.alive}`, end it and try again."
    )


def _environment() -> dict[str, str]:
    """Returns the caller's environment without what would point the program to another server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    return inherited | {"TEMPORAL_VERSION_CHECK_DISABLED": "1"}


def _await_ready(home: StateFolder, server: EmbeddedServer, log_start: int) -> frozenset[str]:
    """Waits until the server answers; returns the search attributes it knows."""
    deadline = time.monotonic() + START_SECONDS
    while home.is_alive() and time.monotonic() < deadline:
        registered = _registered_attributes(server)
        if registered is not None and home.is_alive():
            return registered
        time.sleep(POLL_SECONDS)
    reason = f"it did not answer within {START_SECONDS:.0f} s" if home.is_alive() else "it ended at once"
    _kill(home, server)
    said = _said(home, log_start)
    error = _PortTaken if "address already in use" in said else ServerUnavailable
    raise error(
        f"The embedded Temporal server did not start, {reason}:\n"
        f"{said[-SHOWN_CHARACTERS:] or '(it printed nothing)'}\nIts log is {home.log}"
    )


def _said(home: StateFolder, log_start: int) -> str:
    """Returns what the server has printed since its start; after a panic, only what came before it."""
    with open(home.log, "rb") as log:
        log.seek(log_start)
        text = log.read().decode(errors="replace")
    trace = _TRACE.search(text)
    before = text[: trace.start()].strip() if trace else text.strip()
    return before or text.strip().partition("\n")[0]


def _registered_attributes(server: EmbeddedServer) -> frozenset[str] | None:
    """Returns the search attributes that the server has, or None while it is not ready to answer."""
    connection = http.client.HTTPConnection(HOST, server.api_port, timeout=5)
    try:
        connection.request("GET", "/api/v1/namespaces/default/search-attributes")
        response = connection.getresponse()
        if response.status != 200:
            return None
        return frozenset(json.loads(response.read()).get("customAttributes", {}))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _register(program: Path, server: EmbeddedServer, registered: frozenset[str]) -> None:
    """Registers missing search attributes; the server itself does so only in a database that it creates."""
    missing = {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in registered}
    if not missing:
        return
    names = [f"--name={name}" for name in missing]
    kinds = [f"--type={kind}" for kind in missing.values()]
    command = [str(program), "operator", "search-attribute", "create", f"--address={server.address}"]
    done = subprocess.run(
        [*command, *names, *kinds], env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ServerUnavailable(
            f"The search attributes {', '.join(missing)} cannot be registered: {done.stderr}"
        )


def _signal(server: EmbeddedServer, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(server.pid, number)


def _kill(home: StateFolder, server: EmbeddedServer) -> None:
    if home.is_alive():
        _signal(server, signal.SIGKILL)
        _within(STOP_SECONDS, lambda: not home.is_alive())


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Waits until a condition holds; returns False if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _free_ports() -> tuple[int, int, int]:
    """Returns three ports that are free at the moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind((HOST, 0))
        first, second, third = (int(each.getsockname()[1]) for each in sockets)
        return first, second, third


def _is_taken(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex((HOST, port)) == 0


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
