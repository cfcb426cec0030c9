"""Watches a task that others have started, also over a time in which its server is away."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from ..client.outcome import Outcome, left_running, outcome_of
from ..client.recovery import with_recovery
from ..client.updates import find_task
from ..connection import connect, has_workers
from .failure import CommandFailed, ExitCode
from .output import say
from .signals import Signals
from .target import Target
from .view import View, open_view
from .watching import ENDED_SECONDS, Watch, Watched, miss_workers

AWAY_SECONDS: Final = 60.0
"""How long a server that has gone away is waited for."""

PING_SECONDS: Final = 2.0
"""How long it may take to say that it is there."""

_AWAY: Final = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,
        RPCStatusCode.INTERNAL,
    }
)


class _ServerAway(Exception):
    """The server does not answer any more."""


async def watch_task(target: Target, id: str) -> tuple[Outcome, Any]:
    """Watches a task to its end.

    Args:
        target: The server.
        id: The workflow id.

    Returns:
        The outcome; and the error that ended it or its result, None where it goes on.

    Raises:
        CommandFailed: No worker is there, or the server has not come back.
        UnknownTask: There is no such task.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server refuses.
    """
    client = await connect(target.config)
    handle, found = await find_task(client, id)
    ids = (id, found.run_id)
    say(" ".join(filter(None, (id, target.link(id)))))
    signals, view = Signals(), open_view(target.options())
    seen: Watched | None = None
    while seen is None:
        try:
            seen = await _look_on(client, target, handle, found, view, signals)
        except (_ServerAway, RPCError) as error:
            if isinstance(error, RPCError) and error.status not in _AWAY:
                raise
            if not await _until_back(client, target, id, signals):
                seen = Watched(ended=False, end=None, board=None)
    if seen.ended:
        return await with_recovery(client, outcome_of(seen.end, seen.board, ids)), seen.end
    if seen.unattended:
        say(f"{id} goes on when a person has decided.")
    else:
        say(f"{id} goes on; `{target.command('watch', id)}` shows it again.")
    return left_running(seen.board, ids), None


async def _look_on(
    client: Client,
    target: Target,
    handle: WorkflowHandle[Any, Any],
    found: WorkflowExecutionDescription,
    view: View,
    signals: Signals,
) -> Watched:
    queue = found.task_queue

    def nobody() -> CommandFailed:
        message = f"No worker polls the queue {queue!r}; {found.id} waits there for one. Start one: "
        return CommandFailed(message + target.worker_command(queue), code=ExitCode.NO_SERVER, type="NoWorker")

    somebody = await has_workers(client, queue)
    watch = Watch(handle, view, signals, only_looks=True, server=target.options())
    guards = (miss_workers(client, queue, watch, nobody), _miss_server(client, watch))
    view.resume()
    tasks = [asyncio.create_task(guard) for guard in guards]
    return await watch.until_end(*tasks, last=ENDED_SECONDS if somebody else 0)


async def _miss_server(client: Client, watch: Watch) -> None:
    """Ends, with `_ServerAway`, once the task does not answer because its server does not."""
    while True:
        await asyncio.sleep(PING_SECONDS / 2)
        if watch.unanswered is not None and not await _answers(client):
            raise _ServerAway


async def _until_back(client: Client, target: Target, id: str, signals: Signals) -> bool:
    """Waits for the server; returns False where somebody does not want to."""
    say(
        f"The Temporal server at {target.address} does not answer any more; the task is kept there. "
        f"Trying again for {AWAY_SECONDS:g} s."
    )
    leaving = asyncio.create_task(signals.next())
    try:
        async with asyncio.timeout(AWAY_SECONDS):
            while not leaving.done():
                if await _answers(client):
                    say("It answers again.")
                    return True
                await asyncio.wait({leaving}, timeout=PING_SECONDS / 4)
            return False
    except TimeoutError:
        message = (
            f"The Temporal server at {target.address} has not answered for {AWAY_SECONDS:g} s. "
            f"When it is back, `{target.command('watch', id)}` goes on."
        )
        raise CommandFailed(message, code=ExitCode.NO_SERVER, type="ServerUnavailable") from None
    finally:
        leaving.cancel()


async def _answers(client: Client) -> bool:
    try:
        return await client.service_client.check_health(retry=False, timeout=timedelta(seconds=PING_SECONDS))
    except RPCError:
        return False
