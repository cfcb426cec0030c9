"""Asks the declared servers, once, what they offer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .listing import Listing
from .mcp_server import McpServer


def ask_servers(servers: Sequence[McpServer]) -> dict[str, Listing | str]:
    """Asks all servers at once, each for as long as it may take to start.

    Returns:
        By the name of the server what it offers, or why that is not known.
    """
    if not servers:
        return {}
    # The caller may have an event loop that runs already.
    with ThreadPoolExecutor(1, thread_name_prefix="counterstep-mcp") as thread:
        return thread.submit(asyncio.run, _ask_all(servers)).result()


async def _ask_all(servers: Sequence[McpServer]) -> dict[str, Listing | str]:
    answers = await asyncio.gather(*(_ask(server) for server in servers))
    return {server.name: answer for server, answer in zip(servers, answers, strict=True)}


async def _ask(server: McpServer) -> Listing | str:
    from .connection import McpServerGone, connected, listing_of

    missing = server.missing_variables()
    if missing:
        return f"the worker's environment has no {', '.join(missing)}"
    seconds = server.start_timeout.total_seconds()
    try:
        async with asyncio.timeout(seconds), connected(server) as client:
            return await listing_of(client)
    except McpServerGone as error:
        return f"it does not start: {error}"
    except TimeoutError:
        return f"it has not told its tools within {seconds:g} s"
