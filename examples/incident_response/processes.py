"""The processes of the service: found, started, stopped and adjusted by whichever worker comes along.

A node's process holds a lock on its pid file for as long as it lives. So a node runs at most once, whoever
starts it and whoever is killed meanwhile, and a pid is never that of somebody else's process.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from pydantic import BaseModel, ConfigDict

from . import config_file

SERVICE = Path(__file__).with_name("service.py")

FoundT = TypeVar("FoundT")

_SECONDS = 6.0
"""How long a process may take to start, to answer, or to end."""


class Running(BaseModel):
    """What a process of the service runs with; its pid is not part of it.

    Attributes:
        node: The node that it is.
        instance: Names this start of the node; another start has another name.
        config: The settings that it has read, word for word.
        workers: How many customers it serves at once.
        draining: Whether no more customers are sent to it.
    """

    model_config = ConfigDict(frozen=True)

    node: str
    instance: str
    config: str
    workers: int
    draining: bool


class Health(BaseModel):
    """What became of a burst of customers on one node."""

    model_config = ConfigDict(frozen=True)

    healthy: bool
    served: int
    refused: int
    timed_out: int


class NodeProcess:
    """The process of one node, if it runs."""

    def __init__(self, folder: Path, name: str, port: int, database: Path, idle_seconds: float) -> None:
        """Names a node; nothing is started.

        Args:
            folder: Where its pid file, its settings and its log are.
            name: The node.
            port: Where it listens, always the same.
            database: What stands for the database.
            idle_seconds: After how long without a request its process ends by itself.
        """
        self.name = name
        self.port = port
        self._folder = folder
        self._database = database
        self._idle_seconds = idle_seconds

    def pid(self) -> int | None:
        """Returns the pid of the process; None if the node does not run."""
        return _until(self._pid, f"{self.name} does not write its pid")[0]

    def running(self) -> Running | None:
        """Returns what the node runs with; None if it does not run."""
        found = self._get("status")
        return None if found is None else Running.model_validate_json(found)

    def health(self) -> Health | None:
        """Asks the node whether it works; None if it does not run."""
        found = self._get("health")
        return None if found is None else Health.model_validate_json(found)

    def metrics(self) -> str:
        """Returns what the node counts, in the words of Prometheus; nothing if it does not run."""
        return (self._get("metrics") or b"").decode()

    def run(self, wanted: Running) -> None:
        """Makes the node run with this and nothing else; it does nothing where it does already.

        Another instance, or other settings, are another process. Workers and draining are changed in the
        process that runs.
        """
        now = self.running()
        if now is None or (now.instance, now.config) != (wanted.instance, wanted.config):
            self.stop()
            self._start(wanted)
        elif now != wanted:
            settings = {"workers": wanted.workers, "draining": wanted.draining}
            if self._get("settings", json.dumps(settings).encode()) is None:
                self._start(wanted)  # it has ended by itself, just now

    def stop(self) -> None:
        """Ends the process, if there is one, and returns when it is gone."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            pid = self.pid()
            if pid is None:
                return
            try:
                os.kill(pid, sent)
                _until(lambda: (True,) if self._pid() == (None,) else None, "")
            except (ProcessLookupError, TimeoutError):
                continue
        if self.pid() is not None:
            raise TimeoutError(f"the process of {self.name} does not end")

    def _start(self, wanted: Running) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / f"{self.name}.env"
        config_file.write(config, wanted.config)
        words = {
            "node": self.name,
            "pid-file": self._pid_file,
            "config": config,
            "database": self._database,
            "instance": wanted.instance,
            "port": self.port,
            "workers": wanted.workers,
            "idle-seconds": self._idle_seconds,
        }
        command = [sys.executable, "-I", "-S", str(SERVICE)]
        command += [word for name, value in words.items() for word in (f"--{name}", str(value))]
        with (self._folder / f"{self.name}.log").open("a") as log:
            process = subprocess.Popen(
                [*command, *(["--draining"] if wanted.draining else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # it outlives the worker, also one that is killed
            )
        # As long as this worker lives it is the parent, and has to take note of the end.
        threading.Thread(target=process.wait, daemon=True).start()

        def has_started() -> tuple[bool] | None:
            if process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended at its start; see {log.name}")
            return (True,) if self._pid() == (process.pid,) and self.running() == wanted else None

        _until(has_started, f"{self.name} does not start; see {log.name}")

    @property
    def _pid_file(self) -> Path:
        return self._folder / f"{self.name}.pid"

    def _pid(self) -> tuple[int | None] | None:
        """Looks once: the pid, no process, or None where a process is about to write its pid."""
        try:
            descriptor = os.open(self._pid_file, os.O_RDWR)
        except FileNotFoundError:
            return (None,)
        try:
            # Shared, so that two who look do not take each other for the node.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(descriptor, 20, 0)
            return (int(said),) if said else None
        else:
            os.ftruncate(descriptor, 0)  # the pid of a process that is gone is nobody's
            return (None,)
        finally:
            os.close(descriptor)

    def _get(self, page: str, body: bytes | None = None) -> bytes | None:
        """Asks for a page; None if the node does not run, or ends while it is asked.

        A process that has just started may not listen yet.
        """

        def ask() -> tuple[bytes | None] | None:
            try:
                with urlopen(
                    Request(f"http://127.0.0.1:{self.port}/{page}", data=body), timeout=_SECONDS
                ) as r:
                    return (r.read(),)
            except HTTPError as error:
                return (error.read(),)  # not healthy, and it says why
            except (URLError, HTTPException, ConnectionError):
                return (None,) if self._pid() == (None,) else None

        if self.pid() is None:
            return None
        return _until(ask, f"{self.name} does not answer on port {self.port}")[0]


def _until(look: Callable[[], FoundT | None], otherwise: str) -> FoundT:
    """Looks again and again until something is found; raises `TimeoutError` after a while."""
    end = time.monotonic() + _SECONDS
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.01)
