"""A Redis of the tests' own, where its program is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import pytest


class RedisServer:
    """A server on a free port of 127.0.0.1 that keeps nothing on disk; it can be killed and started again."""

    def __init__(self) -> None:
        pytest.importorskip("redis", reason="redis is not installed: pip install 'counterstep[redis]'")
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("Redis is not installed: there is no redis-server in PATH (Debian: redis-server)")
        self._program = program
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._folder = tempfile.mkdtemp(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        serve = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder]
        keep_nothing = ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([*serve, *keep_nothing], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("Redis has not started")

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Lets it take connections, and answer nobody."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
