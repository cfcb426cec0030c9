"""A server that ends with whoever has started it, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .lifecycle import ensure, stop
from .server import EmbeddedServer


@contextmanager
def temporal_server() -> Iterator[EmbeddedServer]:
    """Starts a Temporal server of its own in a temporary folder, on free ports, and kills it at the end.

    It is the server that ``counterstep run`` starts, search attributes included, and takes about 0.2 s; one
    for the whole test session is enough::

        @pytest.fixture(scope="session")
        def server() -> Iterator[EmbeddedServer]:
            with temporal_server() as server:
                yield server

    Yields:
        The server: its ``address`` for clients and its ``ui_url`` for a browser.

    Raises:
        ServerUnavailable: It cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="counterstep-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = ensure(folder)
        # The server is detached and would outlive a killed process; this one's input ends with the process.
        watchdog = subprocess.Popen(
            ["/bin/sh", "-c", 'read _ || { kill -9 "$1"; rm -rf "$2"; }', "sh", str(server.pid), name],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield server
        finally:
            stop(folder, grace=0)
            watchdog.communicate(b"done\n")
