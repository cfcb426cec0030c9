"""What serves web applications: `counterstep.runtime.web_server`."""

from __future__ import annotations

import asyncio
import socket

import pytest

from counterstep.runtime.web_server import open_socket


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_what_is_accepted_sends_at_once(host: str) -> None:
    delays: list[int] = []

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        delays.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with open_socket(host, 0) as listening:
        async with await asyncio.start_server(accepted, sock=listening):
            reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
            await reader.read()
            writer.close()
    assert delays == [1]
