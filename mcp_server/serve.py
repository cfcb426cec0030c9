"""Serves the tools: on the standard input and output, or over HTTP."""

from __future__ import annotations

import hmac
from typing import Any, TextIO

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOCAL = ("127.0.0.1", "localhost", "[::1]")


async def serve_pipes(server: Server[Any], output: TextIO) -> None:
    """Serves the process that has started this one, until it closes our input.

    Args:
        server: With the tools.
        output: Where the answers go; nothing else is written there.
    """
    async with stdio_server(stdout=anyio.wrap_file(output)) as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def http_sessions(server: Server[Any], hosts: tuple[str, ...]) -> StreamableHTTPSessionManager:
    """Returns what serves the tools over streamable HTTP.

    Args:
        server: With the tools.
        hosts: By which names, with ports, this address may be called, besides those of this machine.
    """
    named = [*hosts, *(f"{name}:*" for name in _LOCAL), *_LOCAL]
    origins = [f"http://{name}:*" for name in _LOCAL]
    return StreamableHTTPSessionManager(
        server,
        security_settings=TransportSecuritySettings(allowed_hosts=named, allowed_origins=origins),
    )


def guarded(mcp: ASGIApp, token: str | None) -> ASGIApp:
    """Returns an application that serves MCP at ``/mcp``, to whoever shows the token.

    Args:
        mcp: What serves it.
        token: What has to be shown as a bearer token; None for nothing.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"].rstrip("/") != "/mcp":
            missing = JSONResponse({"error": "MCP is at /mcp"}, status_code=404)
            await missing(scope, receive, send)
            return
        shown = Request(scope).headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not hmac.compare_digest(shown.encode(), token.encode()):
            refused = JSONResponse(
                {"error": "show the token of COUNTERSTEP_MCP_TOKEN as a bearer token"}, status_code=401
            )
            await refused(scope, receive, send)
            return
        await mcp(scope, receive, send)

    return app
