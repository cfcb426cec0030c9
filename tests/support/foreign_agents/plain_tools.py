"""The same tools as a plain MCP server: what is booked without a saga is booked, and nobody takes it back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings


@dataclass
class PlainTools:
    """A running server.

    Attributes:
        url: Its address.
        booked: The tools that were called, as they came.
        at_hotel: Called in each call of the hotel, before it is answered.
    """

    url: str = ""
    booked: list[str] = field(default_factory=list)
    at_hotel: Callable[[], None] = lambda: None


@contextmanager
def plain_tools() -> Iterator[PlainTools]:
    """Serves in a thread of this process."""
    tools = PlainTools()
    server = MCPServer("plain")

    @server.tool()
    def book_flight(city: str, price: int) -> str:
        """Books a flight."""
        tools.booked.append("book_flight")
        return f"flight to {city}"

    @server.tool()
    def book_hotel(city: str, nights: int) -> str:
        """Books a hotel."""
        tools.booked.append("book_hotel")
        tools.at_hotel()
        return f"hotel in {city}"

    open_to_all = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(json_response=True, stateless_http=True, transport_security=open_to_all)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on")
    served = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(served.serve(sockets=[listening])), daemon=True)
    thread.start()
    tools.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    try:
        yield tools
    finally:
        served.should_exit = served.force_exit = True
        thread.join(10)
        with contextlib.suppress(OSError):
            listening.close()
