"""Lets in whom it knows: what every request has to show, before anything reads it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH
from starlette.authentication import SimpleUser
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..runtime.web_server import THIS_MACHINE
from .callers import Callers

KEYS_PATH: Final = "/.well-known/jwks.json"
_OPEN: Final = (AGENT_CARD_WELL_KNOWN_PATH, KEYS_PATH)
_LARGEST: Final = 1_000_000


class Door:
    """Wraps an application: tokens, sizes, and pages in a browser that call what they should not."""

    def __init__(self, app: ASGIApp, url: str, callers: Callers | None) -> None:
        """Wraps an application.

        Args:
            app: The application.
            url: Where it is called.
            callers: Who may call; None for everybody on this machine.
        """
        self._app = app
        self._origin = url.rstrip("/")
        self._hosts = {*THIS_MACHINE, urlsplit(url).hostname}
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            return
        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            large = _said(413, f"a request has {_LARGEST} bytes at most")
            await large(scope, receive, send)
            return
        first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return first.pop() if first else await receive()

        await self._app(scope, again, send)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        # Agents send no origin; a page that does could otherwise use what runs on its visitor's machine.
        if headers.get("origin", self._origin) != self._origin:
            return _said(403, "pages of other origins may not call this server")
        if self._callers is None:
            named = _host_of(headers.get("host", ""))
            return None if named in self._hosts else _said(421, f"this server is not {named}")
        if scope["path"] in _OPEN:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        subject = self._callers.subject(token.strip()) if scheme.casefold() == "bearer" else None
        if subject is None:
            return _said(401, "show a bearer token that is known here", {"WWW-Authenticate": "Bearer"})
        scope["user"] = SimpleUser(subject)
        return None


def _host_of(header: str) -> str | None:
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


async def _whole(receive: Receive) -> bytes | None:
    """Returns the body; None for one that is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > _LARGEST:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _said(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=headers)
