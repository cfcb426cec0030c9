"""Makes requests to MCP servers for activities, and says what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from temporalio import activity

from ..saga.errors import ExpressionError, FailureType
from ..saga.expressions.template import render
from .connections import McpConnection, McpConnections
from .failures import failed, not_admitted, request_failure
from .listing import ForeignTool
from .mcp_server import McpServer
from .offer import ForeignCall
from .results import hidden, text_of, value_of
from .timely_check import check_in_time

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import CallToolResult

KEY_META = "counterstep/idempotency-key"
"""Under this name a server finds the key of a call in the ``_meta`` of the request."""

CONNECT_PAUSES = (0.0, 0.5, 2.0)
"""Seconds before each attempt to connect: nothing has been asked for yet, so the call can wait."""

RESERVE = 1.0
"""Seconds before the timeout of the activity at which a server is given up, so that the failure says so."""

_Send = Callable[["Client", float], Awaitable[Any]]


class ServerRequests:
    """Makes the requests of one worker.

    All failures are of the type `NotApplied` where certainly nothing has been asked of the server.

    Attributes:
        received: Is given what a server has answered, before it is checked; the fault explorer falsifies it.
    """

    def __init__(self) -> None:
        self.received: Callable[[Any], Any] = _as_it_is
        self._connections = McpConnections()
        self._workers: Counter[asyncio.AbstractEventLoop] = Counter()

    async def open(self, servers: Iterable[McpServer]) -> None:
        """Opens the connections that calls would open; where one cannot be opened, its calls will say so."""

        async def opened(server: McpServer) -> None:
            with suppress(Exception):
                async with self._connections.to(server) as connection:
                    await connection.client()

        await asyncio.gather(*map(opened, servers))

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Keeps connections open for a worker; the last one that ends in an event loop closes them."""
        loop = asyncio.get_running_loop()
        self._workers[loop] += 1
        try:
            yield
        finally:
            self._workers[loop] -= 1
            if not self._workers[loop]:
                del self._workers[loop]
                await self._connections.close()

    async def tool(
        self,
        server: McpServer,
        tool: ForeignTool,
        arguments: dict[str, Any],
        key: str,
        *,
        repeatable: bool,
        on_error: Literal["fail", "retry", "null"],
        known: bool = False,
    ) -> Any:
        """Calls a tool.

        Args:
            server: The server.
            tool: The tool as it was when the worker started; where it is another one now it is not called.
            arguments: Its arguments.
            key: The idempotency key, which the server is told.
            repeatable: Whether the call may be made again when its outcome is unknown.
            on_error: What an error that the tool reports comes to.
            known: Whether what the connection has said of its tools before is good enough.

        Returns:
            The structured result where the tool has an output schema, else its text.

        Raises:
            ApplicationError: There is no result, or not one that fits the tool's output schema.
        """

        async def send(client: Client, seconds: float) -> CallToolResult:
            meta: Any = {KEY_META: key}
            return await client.call_tool(tool.name, arguments, seconds, meta=meta)

        name = f"{server.name}.{tool.name}"
        result = await self._ask(server, send, repeatable=repeatable, tool=tool, known=known)
        if result.is_error:
            if on_error == "null":
                return None
            said = hidden(text_of(result), server.secrets) or "it has failed, and does not say why"
            raise failed(FailureType.MCP_FAILED, f"{name}: {said}", final=on_error == "fail")
        try:
            value = value_of(result, structured=tool.output_schema is not None)
        except ValueError as error:
            raise failed(FailureType.INVALID_OUTPUT, f"{name}: {error}") from None
        return await self._checked(server, name, tool.result_schema, value)

    async def before(self, call: ForeignCall, arguments: dict[str, Any], key: str) -> Any:
        """Reads what there is before a call, or before its undo; raises what `tool` raises."""
        assert call.tool is not None and call.mapping.before is not None
        template = call.mapping.before.input
        scope = {"arguments": arguments, "key": key}
        try:
            given = arguments if template is None else render(template, scope, "before.input")
        except ExpressionError as error:
            raise failed(FailureType.EXPRESSION, str(error)) from None
        on_error = call.mapping.before.on_error
        return await self.tool(
            call.server, call.tool, given, key, repeatable=True, on_error=on_error, known=True
        )

    async def text(self, call: ForeignCall, arguments: dict[str, Any]) -> Any:
        """Reads a resource or a prompt; raises what `tool` raises."""

        async def send(client: Client, seconds: float) -> Any:
            async with asyncio.timeout(seconds):
                if call.kind == "resource":
                    return await client.read_resource(arguments["uri"])
                return await client.get_prompt(arguments["name"], arguments.get("arguments"))

        result = await self._ask(call.server, send, repeatable=True)
        written = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        kept = {name: written[name] for name in ("contents", "messages", "description") if name in written}
        return await self._checked(call.server, call.entry.name, call.entry.output_schema, kept)

    async def _checked(self, server: McpServer, name: str, schema: dict[str, Any], value: Any) -> Any:
        """Returns a value without the secrets of its server; raises where it is not what the schema says."""
        told = self.received(hidden(value, server.secrets))
        faults = await check_in_time(schema, told, "output")
        if faults:
            raise failed(FailureType.INVALID_OUTPUT, f"{name}: {faults[0]}")
        return told

    async def _ask(
        self,
        server: McpServer,
        send: _Send,
        *,
        repeatable: bool,
        tool: ForeignTool | None = None,
        known: bool = False,
    ) -> Any:
        limit = activity.info().start_to_close_timeout
        now = asyncio.get_running_loop().time
        end = now() + max(0.5, (60 if limit is None else limit.total_seconds()) - RESERVE)
        async with self._ready(server, tool, known, end, final=not repeatable) as (connection, client):
            try:
                return await send(client, max(0.1, end - now()))
            except Exception as error:
                raise request_failure(server, connection, error, repeatable=repeatable) from None

    @asynccontextmanager
    async def _ready(
        self, server: McpServer, tool: ForeignTool | None, known: bool, end: float, *, final: bool
    ) -> AsyncIterator[tuple[McpConnection, Client]]:
        """Gives a connection to a server that offers the tool still; fails as `NotApplied` without one."""
        reason = "it has not started in time"
        for pause in CONNECT_PAUSES:
            await asyncio.sleep(pause)
            async with self._connections.to(server) as connection:
                try:
                    async with asyncio.timeout_at(end):
                        client = await connection.client()
                        if tool is not None and not (known and connection.tools is not None):
                            from .connection import tools_of

                            connection.tools = await tools_of(client, server)
                except Exception as error:
                    connection.retired = True
                    reason = str(error) or reason
                    if asyncio.get_running_loop().time() >= end or not_admitted(error):
                        break
                    continue
                if tool is not None:
                    _expect_unchanged(server, tool, (connection.tools or {}).get(tool.name))
                yield connection, client
                return
        text = hidden(f"MCP server {server.name}: {reason}", server.secrets)
        raise failed(FailureType.NOT_APPLIED, text, final=final)


def _as_it_is(value: Any) -> Any:
    return value


def _expect_unchanged(server: McpServer, tool: ForeignTool, now: ForeignTool | None) -> None:
    if now is None:
        told = "is gone"
    elif tool.differs_from(now):
        told = "has another schema, or other annotations"
    else:
        return
    message = f"{server.name}.{tool.name} {told} since the worker started; it was not called"
    raise failed(FailureType.NOT_APPLIED, f"{message}. Restart the worker to take the tools as they are now.")
