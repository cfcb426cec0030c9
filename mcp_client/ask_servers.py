"""Asks the declared servers, once, what they offer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .last_words import LastWords
from .listing import Listing
from .mcp_server import McpServer
from .results import told


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
    with LastWords() as last_words:
        try:
            async with asyncio.timeout(seconds), connected(server, last_words) as client:
                return await listing_of(client, server)
        except McpServerGone as error:
            return f"it {'cannot be used' if server.url else 'does not start'}: {error}"
        except TimeoutError:
            said = last_words.told()
            late = f"{server.where}: it has not told its tools within {seconds:g} s (start_timeout)"
            return told(f"{late}: {said}" if said else late, server.secrets)
