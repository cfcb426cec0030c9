"""An MCP server behind OAuth, and the authorization server that gives tokens for it, on loopback."""

from __future__ import annotations

import base64
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class GuardedInn:
    """Both servers.

    Attributes:
        clients: The secrets of the clients that get tokens, by client id.
        tokens: Who has been given which tokens, and until when they are good.
        bookings: What is booked, with the client that has booked it.
        given: How many tokens were given.
    """

    def __init__(self, clients: dict[str, str]) -> None:
        self.clients = clients
        self.tokens: dict[str, tuple[str, float]] = {}
        self.bookings: dict[str, str] = {}
        self.given = 0
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.issuer, inn = (f"http://127.0.0.1:{one.getsockname()[1]}" for one in self._sockets)
        self.url = f"{inn}/mcp"

    @contextmanager
    def serving(self) -> Iterator[GuardedInn]:
        """Serves for a while."""
        apps = [self._authorization_server(), self._inn().streamable_http_app()]
        servers = [uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")) for app in apps]
        threads = [
            threading.Thread(target=server.run, kwargs={"sockets": [given]}, daemon=True)
            for server, given in zip(servers, self._sockets, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            for server in servers:
                server.should_exit = server.force_exit = True
            for thread in threads:
                thread.join(10)

    def _authorization_server(self) -> Starlette:
        async def metadata(_: Request) -> JSONResponse:
            return JSONResponse(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token",
                    "response_types_supported": ["code"],
                    "grant_types_supported": ["client_credentials"],
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                }
            )

        async def token(request: Request) -> JSONResponse:
            form = await request.form()
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            client, _, secret = base64.b64decode(given).decode().partition(":")
            if scheme != "Basic" or self.clients.get(client) != secret:
                return JSONResponse({"error": "invalid_client", "error_description": f"not {secret}"}, 401)
            if form.get("grant_type") != "client_credentials":
                return JSONResponse({"error": "unsupported_grant_type"}, 400)
            self.given += 1
            fresh = secrets.token_urlsafe(24)
            self.tokens[fresh] = client, time.time() + 3600
            return JSONResponse({"access_token": fresh, "token_type": "Bearer", "expires_in": 3600})

        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", metadata),
                Route("/token", token, methods=["POST"]),
            ]
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """Says whose token it is, if it is good."""
        client, until = self.tokens.get(token, ("", 0.0))
        if until < time.time():
            return None
        return AccessToken(token=token, client_id=client, scopes=[], resource=self.url)

    def _inn(self) -> MCPServer[Any]:
        # As a text it keeps its empty path, and an issuer is compared sign by sign.
        settings = AuthSettings.model_validate(
            {
                "issuer_url": self.issuer,
                "resource_server_url": self.url,
                "validate_token_resource": True,
            }
        )
        inn: MCPServer[Any] = MCPServer("inn", auth=settings, token_verifier=self)

        @inn.tool()
        def book(city: str) -> str:
            if city == "Atlantis":
                raise ValueError("there is no such city")
            token = get_access_token()
            assert token is not None
            self.bookings[city] = token.client_id
            return f"booked by {token.client_id} with {token.token}"

        @inn.tool()
        def cancel(city: str) -> str:
            self.bookings.pop(city, None)
            return "cancelled"

        @inn.tool(annotations=ToolAnnotations(read_only_hint=True))
        def lock_out() -> str:
            """Forgets all clients and their tokens, in the middle of a task."""
            self.clients.clear()
            self.tokens.clear()
            return "locked out"

        return inn
