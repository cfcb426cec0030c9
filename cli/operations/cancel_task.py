"""Asks a task to cancel and, if wanted, waits for its undos."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from ...client.board_query import read_board
from ...client.outcome import Outcome, left_running, outcome_of
from ...client.recovery import with_recovery
from ...client.updates import ask_to_cancel, find_task
from ...runtime.codec import PayloadUnreadable
from ...runtime.connection import has_workers
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.live_board import open_view
from ..terminal.output import say
from ..terminal.signals import Signals
from .task_watch import TaskWatch, miss_workers


async def cancel_task(target: ServerTarget, id: str, *, wait: bool) -> tuple[Outcome, Any]:
    """Cancels a task.

    Args:
        target: The server.
        id: The workflow id.
        wait: Whether to wait until everything is undone.

    Returns:
        The outcome, and the task's result or the error that ended it; None if it still runs.

    Raises:
        CommandFailed: No worker is there to undo what the task did.
        UnknownTask: There is no such task.
        TaskEnded: The task has ended, but not by a cancel.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    handle, found = await find_task(client, id)
    ids = (id, found.run_id)
    signals = Signals()
    if await ask_to_cancel(client, handle, found):
        say(f"{id} is asked to cancel; what it did is undone first.")
    else:
        say(f"{id} has been cancelled before.")
    if not wait:
        if not await has_workers(client, found.task_queue):
            say(f"No worker polls its queue {found.task_queue!r}: nothing happens until one does.")
        with suppress(PayloadUnreadable):
            return left_running(await read_board(handle), ids), None
        return left_running(None, ids), None

    def nobody() -> CommandFailed:
        message = f"No worker polls the queue {found.task_queue!r}; the cancel of {id} waits there for one."
        return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")

    watch = TaskWatch(
        handle, open_view(target.options()), signals, is_cancelled=True, server=target.options()
    )
    guard = asyncio.create_task(miss_workers(client, found.task_queue, watch, nobody))
    seen = await watch.until_end(guard)
    if not seen.ended:
        what = "needs a person's decision" if seen.unattended else "goes on with its undos"
        say(f"{id} {what}; see `{target.command('status', id)}`.")
        return left_running(seen.board, ids), None
    return await with_recovery(client, outcome_of(seen.end, seen.board, ids)), seen.end
