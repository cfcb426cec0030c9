"""Waits for a server that has gone away while somebody watches a task, and that may come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from temporalio.client import Client
from temporalio.service import RPCError

from ...runtime.connection import AWAY
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import say

T = TypeVar("T")

AWAY_SECONDS: Final = 60.0
"""How long a server that has gone away is waited for."""

PING_SECONDS: Final = 2.0
"""How long it may take to say that it is there."""


async def until_back(client: Client, target: ServerTarget, again: str, leaving: asyncio.Future[Any]) -> bool:
    """Waits until a server that has stopped answering is back.

    Args:
        client: A client that is connected to the server.
        target: The server.
        again: The command with which to continue after this one has given up.
        leaving: A future that is done once the user no longer wants to wait.

    Returns:
        Whether the server answers again; False if the user has left.

    Raises:
        CommandFailed: The server has not come back.
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


async def outlasting(
    client: Client, target: ServerTarget, again: str, question: Callable[[], Awaitable[T]]
) -> T:
    """Asks the server, and asks again each time that it was away.

    Args:
        client: A client that is connected to the server.
        target: The server.
        again: The command with which to continue after this one has given up.
        question: What to ask.

    Returns:
        The answer.

    Raises:
        CommandFailed: The server has not come back.
        RPCError: The server refuses.
    """
    while True:
        try:
            return await question()
        except RPCError as error:
            if error.status not in AWAY:
                raise
        await until_back(client, target, again, asyncio.get_running_loop().create_future())


async def answers(client: Client) -> bool:
    """Returns whether the server answers at once."""
    try:
        return await client.service_client.check_health(retry=False, timeout=timedelta(seconds=PING_SECONDS))
    except RPCError:
        return False
