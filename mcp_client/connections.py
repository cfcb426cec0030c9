"""Open connections to MCP servers: one for each server, for as long as a worker runs.

`temporalio-mcp` has such a pool, which is private and belongs to activities of its own. Taken from it is that
one asyncio task owns a connection for all its life, and after which errors it is not used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .last_words import LastWords
from .listing import ForeignTool
from .mcp_server import McpServer

if TYPE_CHECKING:
    from mcp import Client

CLOSE_TIMEOUT = 8.0
"""Seconds that all connections together have to close when a worker ends."""


class McpConnection:
    """One open connection, which one asyncio task opens and closes.

    Attributes:
        retired: Whether no other call may use it.
        tools: What the server offered when it was last asked.
        last_words: What its program has complained of.
    """

    def __init__(self, server: McpServer) -> None:
        """Begins to open it."""
        self.retired = False
        self.tools: dict[str, ForeignTool] | None = None
        self.last_words = LastWords()
        self._calls = 0
        self._opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._close = asyncio.Event()
        self._owner = asyncio.create_task(self._live(server))

    async def client(self) -> Client:
        """Returns the client once it is connected; raises `McpServerGone` where it cannot be."""
        return await asyncio.shield(self._opened)

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Keeps it open for one call; a retired one is closed by its last call."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            if self.retired and not self._calls:
                self._close.set()

    async def close(self) -> None:
        """Closes it, whatever still uses it."""
        self.retired = True
        self._close.set()
        if not self._opened.done():
            self._owner.cancel()
        await asyncio.wait([self._owner])

    async def _live(self, server: McpServer) -> None:
        from .connection import McpServerGone, connected

        try:
            with self.last_words:
                async with (
                    asyncio.timeout(server.start_timeout.total_seconds()) as limit,
                    connected(server, self.last_words) as client,
                ):
                    limit.reschedule(None)
                    self._opened.set_result(client)
                    await self._close.wait()
        except BaseException as error:
            self.retired = True
            if not self._opened.done():
                late = isinstance(error, TimeoutError | asyncio.CancelledError)
                told = McpServerGone("it has not started in time") if late else error
                self._opened.set_exception(told)
                self._opened.exception()  # so that nobody is told of it who has not asked


class McpConnections:
    """The connections of one worker; each is opened by the first call that needs it."""

    def __init__(self) -> None:
        self._open: dict[tuple[asyncio.AbstractEventLoop, str], McpConnection] = {}

    @asynccontextmanager
    async def to(self, server: McpServer) -> AsyncIterator[McpConnection]:
        """Gives a connection that works, as far as is known, for one call."""
        key = asyncio.get_running_loop(), server.name
        connection = self._open.get(key)
        if connection is None or connection.retired:
            connection = self._open[key] = McpConnection(server)
        async with connection.used():
            yield connection

    async def close(self) -> None:
        """Closes all connections of the running loop, and the programs behind them."""
        mine = [key for key in self._open if key[0] is asyncio.get_running_loop()]
        closing = [asyncio.create_task(self._open.pop(key).close()) for key in mine]
        if not closing:
            return
        waiting = asyncio.create_task(asyncio.wait(closing, timeout=CLOSE_TIMEOUT))
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            # So a worker's context manager ends what its plugins still do.
            await asyncio.wait([waiting])
            raise
