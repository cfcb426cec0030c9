"""A server where nights are booked over HTTP, on loopback; it knows idempotency keys."""

from __future__ import annotations

import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from counterstep import Bundle
from counterstep.stock import HttpRequest, HttpTool, stock

__all__ = ["BookingServer", "hotel", "spec", "standing", "stock"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


PORT = os.environ.setdefault("HOTEL_TEST_PORT", str(_free_port()))
"""One for each test process; the explorer's workers inherit it."""

ADDRESS = f"http://127.0.0.1:{PORT}"
AUTHORIZATION = {"Authorization": "Bearer ${{ credentials.hotel }}"}

hotel = Bundle("hotel")
hotel.add(
    HttpTool(
        name="book",
        description="Books nights.",
        arguments={"city": str, "nights": int},
        request=HttpRequest(
            method="POST",
            url=f"{ADDRESS}/bookings",
            headers=AUTHORIZATION,
            body={"city": "${{ arguments.city }}", "nights": "${{ arguments.nights }}"},
        ),
        find=HttpRequest(method="GET", url=f"{ADDRESS}/keys/${{{{ key }}}}", headers=AUTHORIZATION),
        undo=HttpRequest(
            method="DELETE", url=f"{ADDRESS}/bookings/${{{{ output.body.id }}}}", headers=AUTHORIZATION
        ),
    )
)
hotel.add(
    HttpTool(
        name="look",
        description="Reads what a path has.",
        arguments={"path": str},
        request=HttpRequest(
            method="GET",
            url=f"{ADDRESS}/${{{{ arguments.path }}}}",
            headers={"X-Key": "${{ credentials.hotel }}"},
        ),
    )
)


def spec() -> dict[str, Any]:
    """Books twice."""
    first = {"id": "rome", "tool": "hotel.book", "input": {"city": "Rome", "nights": 2}}
    second = {"id": "bern", "tool": "hotel.book", "input": {"city": "Bern", "nights": 1}, "needs": ["rome"]}
    return {"name": "stay", "steps": [first, second]}


def standing(task_id: str) -> list[str]:
    """The keys of the bookings of a task that stand; whose they are is in the table of keys."""
    with urllib.request.urlopen(f"{ADDRESS}/standing") as answer:
        keys: list[str] = json.load(answer)
    return [key for key in keys if key in _keys_of(task_id)]


def _keys_of(task_id: str) -> set[str]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError

    engine = create_engine(os.environ["COUNTERSTEP_STOCK_DATABASE"])
    try:
        with engine.connect() as connection:
            rows = connection.execute(
                text("select key from counterstep_keys where task = :t"), {"t": task_id}
            )
            return {key for (key,) in rows}
    except OperationalError:
        return set()
    finally:
        engine.dispose()


class BookingServer:
    """What is booked, and which requests came."""

    def __init__(self) -> None:
        self.bookings: dict[int, dict[str, Any]] = {}
        self.ids: dict[str, int] = {}
        self.requests: list[str] = []
        self.fails_once: set[str] = set()
        self.lock = threading.Lock()

    @contextmanager
    def serving(self) -> Iterator[BookingServer]:
        """Answers requests for a while."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or "null")
                with site.lock:
                    status, answer, headers = site.answer(self.command, self.path, dict(self.headers), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        server = ThreadingHTTPServer(("127.0.0.1", int(ADDRESS.rpartition(":")[2])), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        """Answers one request."""
        if path == "/standing":
            return 200, [key for key, id_ in self.ids.items() if id_ in self.bookings], {}
        self.requests.append(f"{method} {path}")
        if path == "/elsewhere":
            return 302, None, {"Location": "http://127.0.0.1:1/secret"}
        if path == "/large":
            return 200, "x" * 600_000, {}
        if path == "/secret":
            return 200, {"your": headers.get("X-Key")}, {}
        if headers.get("Authorization") != "Bearer s3cret-of-hotel":
            return 401, {"error": "who are you?"}, {}
        last = path.rpartition("/")[2]
        if method == "POST":
            key = headers["Idempotency-Key"]
            if body["city"] == "Nowhere":
                return 422, {"error": "there is no such city"}, {}
            if key not in self.ids:
                self.ids[key] = len(self.ids) + 1
                self.bookings[self.ids[key]] = body
            if "POST" in self.fails_once:
                self.fails_once.remove("POST")
                return 503, {"error": "the answer is lost"}, {}
            return 201, {"id": self.ids[key]}, {}
        if method == "GET" and last in self.ids:
            return 200, {"id": self.ids[last]}, {}
        if method == "DELETE" and int(last) in self.bookings:
            del self.bookings[int(last)]
            return 200, None, {}
        return 404, {"error": "there is no such thing"}, {}
