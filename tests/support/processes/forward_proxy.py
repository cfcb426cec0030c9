"""A proxy for HTTP that finds every host on this machine, and notes what goes through it."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_OF_ONE_CONNECTION = ("connection", "content-length", "date", "host", "proxy-connection", "server")


class ForwardProxy:
    """A proxy.

    Attributes:
        url: Its address.
        hosts: The host of each request that has gone through it.
    """

    def __init__(self) -> None:
        self.url = ""
        self.hosts: list[str | None] = []

    @contextmanager
    def serving(self) -> Iterator[ForwardProxy]:
        """Serves for a while."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.hosts.append(urlsplit(self.path).hostname)
                here = self.path.replace(str(proxy.hosts[-1]), "127.0.0.1", 1)
                status, headers, content = _answer(self.command, here, body, _kept(self.headers.items()))
                self.send_response(status)
                for header in headers:
                    self.send_header(*header)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_DELETE = do_GET

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def _answer(
    method: str, url: str, body: bytes, headers: list[tuple[str, str]]
) -> tuple[int, list[tuple[str, str]], bytes]:
    request = urllib.request.Request(url, body or None, dict(headers), method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request) as answer:
            return answer.status, _kept(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, _kept(answer.headers.items()), answer.read()


def _kept(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _OF_ONE_CONNECTION]
