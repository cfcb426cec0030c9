"""An MCP server with sessions, without any library: it forgets them, and it fails as HTTP does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

ANYTHING = {"type": "object"}


class SessionServer:
    """A server with the tool `look`, which only reads, and the tools `put` and `drop`.

    Attributes:
        sessions: The sessions that it knows.
        fails: The HTTP statuses of its next answers to calls of tools; with 403 none is made.
        things: How many things were put and not dropped.
        looked: How often it was looked.
    """

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.fails: list[int] = []
        self.things = 0
        self.looked = 0
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator[SessionServer]:
        """Serves for a while."""
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer, session = site.answer(request, self.headers.get("Mcp-Session-Id"))
                body = json.dumps(answer).encode() if isinstance(answer, dict) else str(answer).encode()
                self.send_response(status)
                kind = "application/json" if isinstance(answer, dict) else "text/html"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if session:
                    self.send_header("Mcp-Session-Id", session)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.send_response(405)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_DELETE = do_GET

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}/mcp"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def answer(self, request: dict[str, Any], session: str | None) -> tuple[int, Any, str | None]:
        """Answers one request: its status, its body, and a session where one begins."""
        method = request["method"]
        if method == "initialize":
            fresh = uuid4().hex
            self.sessions.add(fresh)
            version = request["params"]["protocolVersion"]
            told = {"protocolVersion": version, "serverInfo": {"name": "sessions", "version": "1"}}
            return 200, self._result(request, {**told, "capabilities": {"tools": {}}}), fresh
        if session is None:
            return 400, "Bad Request: no session", None
        if session not in self.sessions:
            return 404, "Not Found", None
        if "id" not in request:
            return 202, "", None
        if method == "tools/list":
            tools = [{"name": name, "inputSchema": ANYTHING} for name in ("put", "drop")]
            look = {"name": "look", "inputSchema": ANYTHING, "annotations": {"readOnlyHint": True}}
            return 200, self._result(request, {"tools": [*tools, look]}), None
        if method != "tools/call":
            return 404, "Not Found", None
        status = self.fails.pop(0) if self.fails else 200
        if status == 403:
            return status, "<html>\nsorry\n", None
        if request["params"]["name"] == "look":
            self.looked += 1
        else:
            self.things += 1 if request["params"]["name"] == "put" else -1
        if status != 200:
            return status, "<html>\nsorry\n", None
        return 200, self._result(request, {"content": [{"type": "text", "text": str(self.things)}]}), None

    @staticmethod
    def _result(request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}
