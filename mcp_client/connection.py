"""One connection to an MCP server; the client library is imported here, and this only when it is needed."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, METHOD_NOT_FOUND, PaginatedResult
from pydantic import ValidationError

from ..saga.errors import CounterstepError
from ..saga.fault_texts import faults_in
from . import leash
from .last_words import LastWords
from .limited_http import LimitedTransport
from .listing import ForeignTool, Listing
from .mcp_server import McpServer
from .oauth import ClientCredentials
from .results import hidden, told
from .safe_schema import safe_schema

MOST_PAGES = 50
"""Pages of one list; who sends more has no end."""

LONGEST_DESCRIPTION = 4000
"""Characters of a tool's description that models are told."""

CONNECT_TIMEOUT = 10.0
"""Seconds to reach an address."""


# What is wrong is said by what fails; the library's traceback would say it again, on a user's terminal.
logging.getLogger("mcp.client.stdio").setLevel(logging.CRITICAL)
# It notes the address of each request, and that may hold a secret.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class McpServerGone(CounterstepError):
    """The server has not started, cannot be reached, or has ended."""


@asynccontextmanager
async def connected(server: McpServer, last_words: LastWords) -> AsyncIterator[Client]:
    """Connects to a server; a program is started for it, and what it complains of is in `last_words`.

    Raises:
        McpServerGone: It cannot be reached; the text says why, in one sentence and without secrets.
    """
    try:
        async with _client(server, last_words) as client:
            yield client
    except Exception as error:
        why = _why(_innermost(error), last_words)
        raise McpServerGone(told(f"{server.where}: {why}", server.secrets)) from None


async def listing_of(client: Client, server: McpServer) -> Listing:
    """Asks a server for all that it offers; no secret of its is in it."""
    can = client.server_capabilities
    tools = await tools_of(client, server) if can.tools is not None else {}
    resources = prompts = None
    if can.resources is not None:
        found = [resource.uri async for resource in _pages(client.list_resources, "resources")]
        found += [
            one.uri_template async for one in _pages(client.list_resource_templates, "resource_templates")
        ]
        resources = tuple(hidden(str(uri), server.secrets) for uri in found)
    if can.prompts is not None:
        names = [prompt.name async for prompt in _pages(client.list_prompts, "prompts")]
        prompts = tuple(hidden(str(name), server.secrets) for name in names)
    return Listing(tools=tools, resources=resources, prompts=prompts)


async def tools_of(client: Client, server: McpServer) -> dict[str, ForeignTool]:
    """Asks a server for its tools; models and histories are told of them, so no secret of its is in them."""
    found: dict[str, ForeignTool] = {}
    async for listed in _pages(client.list_tools, "tools"):
        tool = _foreign(listed, server.secrets)
        if found.setdefault(tool.name, tool) != tool:
            found[tool.name] = tool.model_copy(update={"is_twofold": True})
    return found


def _foreign(tool: Any, secrets: Sequence[str]) -> ForeignTool:
    hints = tool.annotations
    both = hints is not None and bool(hints.read_only_hint) and bool(hints.destructive_hint)
    return ForeignTool(
        name=tool.name,
        description=hidden(tool.description or tool.title or "", secrets)[:LONGEST_DESCRIPTION],
        input_schema=hidden(safe_schema(tool.input_schema), secrets),
        output_schema=hidden(safe_schema(tool.output_schema), secrets),
        read_only=None if hints is None or both else hints.read_only_hint,
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
async def _client(server: McpServer, last_words: LastWords) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        if server.command is not None:
            program = StdioServerParameters(
                command=sys.executable,
                args=["-I", str(Path(leash.__file__)), *server.command],
                env=server.env,
                cwd=server.cwd,
            )
            transport: Any = stdio_client(program, errlog=last_words.file)  # type: ignore[arg-type]
        else:
            address = server.address
            http = httpx2.AsyncClient(
                headers=server.headers,
                auth=ClientCredentials(server) if server.oauth else None,
                timeout=httpx2.Timeout(CONNECT_TIMEOUT, read=300),
                transport=LimitedTransport(address),
            )
            transport = streamable_http_client(address, http_client=await stack.enter_async_context(http))
        client = await stack.enter_async_context(Client(transport, cache=None))
        # Results are checked by `ServerRequests`, against the schema of the start and without patterns.
        object.__setattr__(client.session, "validate_tool_result", _unchecked)
        yield client


async def _unchecked(name: str, result: Any) -> None:
    return None


def _why(cause: BaseException, last_words: LastWords) -> str:
    if isinstance(cause, ValidationError):
        return f"its answer is refused: {faults_in(cause)}"
    is_answer = isinstance(cause, MCPError) and cause.code != CONNECTION_CLOSED
    is_answer |= isinstance(cause, McpServerGone | RuntimeError)  # what it says cannot be used
    said = str(cause).strip() or type(cause).__name__
    return said if is_answer else last_words.told() or said


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
