"""The service that has the incident: a checkout over HTTP, of which each node is a process of its own.

It reads its settings from a file when it starts. ``/health`` does what a burst of customers does: each of its
workers takes a connection of the pool and asks the database, all at once. So it is healthy if it really
works. It imports nothing but the standard library, so that it starts in a moment.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAME_TAKEN = 3
"""The exit code of a process whose node runs already."""

_SECONDS_TO_TAKE_THE_NAME = 2.0


@dataclass
class Burst:
    """What became of customers who came at once."""

    served: int = 0
    refused: int = 0
    timed_out: int = 0

    @property
    def is_healthy(self) -> bool:
        return not (self.refused or self.timed_out)


class Checkout:
    """A pool of connections, workers, and a database behind them."""

    def __init__(self, settings: dict[str, str], database: Path, workers: int, *, draining: bool) -> None:
        """Takes the settings once, as they are when the process starts.

        Args:
            settings: What the file says.
            database: Holds how many milliseconds a query takes: it stands for the database.
            workers: How many customers are served at once.
            draining: Whether no more customers are to come.
        """
        self.workers = workers
        self.draining = draining
        self.total = Burst()
        self._database = database
        self._pool = threading.Semaphore(int(settings["POOL_SIZE"]))
        self._longest_wait = int(settings["POOL_TIMEOUT_MS"]) / 1000
        self._longest_query = int(settings["QUERY_TIMEOUT_MS"]) / 1000
        self._probing = threading.Lock()
        self._counting = threading.Lock()

    def burst(self) -> Burst:
        """Serves as many customers as there are workers, all at once, and tells what became of them."""
        with self._probing:  # two bursts side by side would take each other's connections
            found, all_have_asked = Burst(), threading.Barrier(self.workers)
            customers = [
                threading.Thread(target=self._serve, args=(found, all_have_asked))
                for _ in range(self.workers)
            ]
            for customer in customers:
                customer.start()
            for customer in customers:
                customer.join()
            return found

    def _serve(self, found: Burst, all_have_asked: threading.Barrier) -> None:
        connected = self._pool.acquire(timeout=self._longest_wait)
        all_have_asked.wait()
        if not connected:
            self._count(found, "refused")
            return
        try:
            takes = int(self._database.read_text()) / 1000
            time.sleep(min(takes, self._longest_query))
            self._count(found, "served" if takes <= self._longest_query else "timed_out")
        finally:
            self._pool.release()

    def _count(self, found: Burst, what: str) -> None:
        with self._counting:
            for counted in (found, self.total):
                setattr(counted, what, getattr(counted, what) + 1)


class Node(ThreadingHTTPServer):
    """One process of the service."""

    daemon_threads = True

    def __init__(self, words: argparse.Namespace) -> None:
        """Reads the settings and listens.

        Args:
            words: The command line.
        """
        self.words = words
        self.config = Path(words.config).read_bytes().decode()
        settings = dict(line.split("=", 1) for line in self.config.splitlines() if _is_setting(line))
        self.release = settings["RELEASE"]
        self.checkout = Checkout(settings, Path(words.database), words.workers, draining=words.draining)
        self.asked_at = time.monotonic()
        super().__init__(("127.0.0.1", words.port), _Pages)

    def status(self) -> dict[str, Any]:
        """Returns what this process is, and what it runs with."""
        return {
            "node": self.words.node,
            "pid": os.getpid(),
            "instance": self.words.instance,
            "release": self.release,
            "workers": self.checkout.workers,
            "draining": self.checkout.draining,
            "config": self.config,
        }

    def metrics(self) -> str:
        """Returns what Prometheus would read."""
        total = self.checkout.total
        lines = [f'checkout_requests_total{{result="{name}"}} {count}' for name, count in vars(total).items()]
        lines += [
            f"checkout_workers {self.checkout.workers}",
            f"checkout_draining {self.checkout.draining:d}",
        ]
        return "\n".join([*lines, ""])

    def service_actions(self) -> None:
        """Ends the process when nobody has asked it for long, so that none is ever left behind."""
        if time.monotonic() - self.asked_at > self.words.idle_seconds:
            sys.exit(0)


class _Pages(BaseHTTPRequestHandler):
    server: Node

    def do_GET(self) -> None:
        self.server.asked_at = time.monotonic()
        if self.path == "/health":
            found = self.server.checkout.burst()
            return self._answer(
                200 if found.is_healthy else 503, {"healthy": found.is_healthy, **vars(found)}
            )
        if self.path == "/status":
            return self._answer(200, self.server.status())
        if self.path == "/metrics":
            return self._send(200, "text/plain; version=0.0.4", self.server.metrics())
        return self._answer(404, {"error": "there are /health, /status and /metrics"})

    def do_POST(self) -> None:
        """Changes what can be changed while it runs: how many workers, and whether it is drained."""
        self.server.asked_at = time.monotonic()
        wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.checkout.workers = int(wanted["workers"])
        self.server.checkout.draining = bool(wanted["draining"])
        self._answer(200, self.server.status())

    def _answer(self, code: int, value: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(value))

    def _send(self, code: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the metrics tell."""


def _is_setting(line: str) -> bool:
    return "=" in line and not line.startswith("#")


def _take_name(path: Path, pid: int) -> None:
    """Holds the lock of the node's file for as long as this process lives; a second process ends here."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    end = time.monotonic() + _SECONDS_TO_TAKE_THE_NAME
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > end:
                sys.exit(NAME_TAKEN)
            time.sleep(0.01)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(pid).encode(), 0)


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser()
    for name in ("--node", "--pid-file", "--config", "--database", "--instance"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--workers"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--idle-seconds", type=float, required=True)
    parser.add_argument("--draining", action="store_true")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _take_name(Path(words.pid_file), os.getpid())
    with Node(words) as node:
        node.serve_forever()


if __name__ == "__main__":
    main()
