"""One connection to an MCP server; the client library is imported here, and this only when it is needed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.types import METHOD_NOT_FOUND, PaginatedResult

from ..saga.errors import CounterstepError
from . import leash
from .limited_http import LimitedTransport
from .listing import ForeignTool, Listing
from .mcp_server import McpServer
from .results import hidden

MOST_PAGES = 50
"""Pages of one list; who sends more has no end."""

LONGEST_DESCRIPTION = 4000
"""Characters of a tool's description that models are told."""

CONNECT_TIMEOUT = 10.0
"""Seconds to reach an address."""


class McpServerGone(CounterstepError):
    """The server has not started, cannot be reached, or has ended."""


@asynccontextmanager
async def connected(server: McpServer) -> AsyncIterator[Client]:
    """Connects to a server; a program is started for it.

    Raises:
        McpServerGone: It cannot be reached; the text says why, in one sentence and without secrets.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as last_words:
        try:
            async with _client(server, last_words) as client:
                yield client
        except Exception as error:
            raise McpServerGone(hidden(why(server, error, last_words), server.secrets)) from None


def why(server: McpServer, error: BaseException, last_words: IO[str] | None = None) -> str:
    """Says in one sentence why a server does not answer."""
    told = ""
    if last_words is not None:
        last_words.seek(0)
        lines = [line.strip() for line in last_words.read().splitlines() if line.strip()]
        told = ": ".join([*lines[-1:], *lines[-2:-1]])[:500]
    cause = _innermost(error)
    where = server.url or " ".join(server.command or ())[:200]
    return f"{where}: {told or str(cause)[:500] or type(cause).__name__}"


async def listing_of(client: Client) -> Listing:
    """Asks a server for all that it offers."""
    can = client.server_capabilities
    tools = await tools_of(client) if can.tools is not None else {}
    resources = prompts = None
    if can.resources is not None:
        found = [resource.uri async for resource in _pages(client.list_resources, "resources")]
        found += [
            one.uri_template async for one in _pages(client.list_resource_templates, "resource_templates")
        ]
        resources = tuple(str(uri) for uri in found)
    if can.prompts is not None:
        prompts = tuple([str(prompt.name) async for prompt in _pages(client.list_prompts, "prompts")])
    return Listing(tools=tools, resources=resources, prompts=prompts)


async def tools_of(client: Client) -> dict[str, ForeignTool]:
    """Asks a server for its tools."""
    return {tool.name: _foreign(tool) async for tool in _pages(client.list_tools, "tools")}


def _foreign(tool: Any) -> ForeignTool:
    hints = tool.annotations
    return ForeignTool(
        name=tool.name,
        description=(tool.description or tool.title or "")[:LONGEST_DESCRIPTION],
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        read_only=None if hints is None else hints.read_only_hint,
    )


async def _pages(ask: Callable[..., Awaitable[PaginatedResult]], field: str) -> AsyncIterator[Any]:
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        try:
            page = await ask(cursor=cursor)
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND:  # some say that they have what they do not have
                return
            raise
        for thing in getattr(page, field):
            yield thing
        cursor = page.next_cursor
        if not cursor:
            return
    raise McpServerGone(f"its list of {field} has more than {MOST_PAGES} pages")


@asynccontextmanager
async def _client(server: McpServer, last_words: IO[str]) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        if server.command is not None:
            program = StdioServerParameters(
                command=sys.executable,
                args=["-I", str(Path(leash.__file__)), *server.command],
                env=server.env,
                cwd=server.cwd,
            )
            transport: Any = stdio_client(program, errlog=last_words)  # type: ignore[arg-type]
        else:
            address = server.url or ""
            http = httpx2.AsyncClient(
                headers=server.headers,
                auth=_auth(server, address),
                timeout=httpx2.Timeout(CONNECT_TIMEOUT, read=300),
                transport=LimitedTransport(),
            )
            transport = streamable_http_client(address, http_client=await stack.enter_async_context(http))
        yield await stack.enter_async_context(Client(transport, cache=None))


def _auth(server: McpServer, address: str) -> httpx2.Auth | None:
    said = server.oauth
    if not said:
        return None
    return ClientCredentialsOAuthProvider(
        server_url=address,
        storage=_InMemory(),
        client_id=said["client_id"],
        client_secret=said["client_secret"],
        scope=said.get("scope"),
        issuer=said.get("issuer"),
    )


class _InMemory:
    """Keeps tokens as long as the connection lives."""

    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
