"""A server that has gone away while somebody looks on, and may come back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client
from temporalio.service import RPCError

from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import say

AWAY_SECONDS: Final = 60.0
"""How long a server that has gone away is waited for."""

PING_SECONDS: Final = 2.0
"""How long it may take to say that it is there."""


async def until_back(client: Client, target: ServerTarget, again: str, leaving: asyncio.Future[Any]) -> bool:
    """Waits for a server that does not answer any more.

    Args:
        client: Connected to it.
        target: The same.
        again: The command that goes on where this one gives up.
        leaving: Done once somebody does not want to wait.

    Returns:
        Whether it answers again; False where somebody has left.

    Raises:
        CommandFailed: It has not come back.
    """
    say(
        f"The Temporal server at {target.address} does not answer any more; the task is kept there. "
        f"Trying again for {AWAY_SECONDS:g} s."
    )
    try:
        async with asyncio.timeout(AWAY_SECONDS):
            while not leaving.done():
                if await answers(client):
                    say("It answers again.")
                    return True
                await asyncio.wait({leaving}, timeout=PING_SECONDS / 4)
            return False
    except TimeoutError:
        message = (
            f"The Temporal server at {target.address} has not answered for {AWAY_SECONDS:g} s. "
            f"When it is back, `{again}` goes on."
        )
        raise CommandFailed(message, code=ExitCode.NO_SERVER, type="ServerUnavailable") from None


async def answers(client: Client) -> bool:
    """Says whether the server answers at once."""
    try:
        return await client.service_client.check_health(retry=False, timeout=timedelta(seconds=PING_SECONDS))
    except RPCError:
        return False
