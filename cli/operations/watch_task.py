"""Watches a task that was started elsewhere, even while its server is away for a time."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle
from temporalio.service import RPCError

from ...client.outcome import Outcome, left_running, outcome_of
from ...client.recovery import with_recovery
from ...client.updates import find_task
from ...runtime.connection import AWAY, has_workers
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.live_board import View, open_view
from ..terminal.output import say
from ..terminal.signals import Signals
from .answer_prompt import AnswerPrompt
from .server_outage import PING_SECONDS, answers, outlasting, until_back
from .task_watch import ENDED_SECONDS, TaskWatch, Watched, miss_workers


class _ServerAway(Exception):
    """The server has stopped answering."""


async def watch_task(target: ServerTarget, id: str, by: str | None = None) -> tuple[Outcome, Any]:
    """Watches a task to its end.

    Args:
        target: The server.
        id: The workflow id.
        by: Who answers at the terminal what the task asks; None for the user of this machine.

    Returns:
        The outcome, and the task's result or the error that ended it; None if it still runs.

    Raises:
        CommandFailed: No worker is there, or the server has not come back.
        UnknownTask: There is no such task.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server refuses.
    """
    client = await target.connect()
    again = target.command("watch", id)
    handle, found = await outlasting(client, target, again, lambda: find_task(client, id))
    ids = (id, found.run_id)
    say(" ".join(filter(None, (id, target.link(id)))))
    signals, view = Signals(), open_view(target.options())
    prompt = AnswerPrompt(target, view, by)
    seen: Watched | None = None
    while seen is None:
        try:
            seen = await _look_on(client, target, handle, found, view, signals, prompt)
        except (_ServerAway, RPCError) as error:
            if isinstance(error, RPCError) and error.status not in AWAY:
                raise
            leaving = asyncio.create_task(signals.next())
            try:
                is_back = await until_back(client, target, again, leaving)
            finally:
                leaving.cancel()
            if not is_back:
                seen = Watched(ended=False, end=None, board=None)
    if seen.ended:
        outcome = outcome_of(seen.end, seen.board, ids)
        return await outlasting(client, target, again, lambda: with_recovery(client, outcome)), seen.end
    if seen.unattended:
        say(f"{id} goes on when a person has decided.")
    else:
        say(f"{id} goes on; `{target.command('watch', id)}` shows it again.")
    return left_running(seen.board, ids), None


async def _look_on(
    client: Client,
    target: ServerTarget,
    handle: WorkflowHandle[Any, Any],
    found: WorkflowExecutionDescription,
    view: View,
    signals: Signals,
    prompt: AnswerPrompt,
) -> Watched:
    queue = found.task_queue

    def nobody() -> CommandFailed:
        message = f"No worker polls the queue {queue!r}; {found.id} waits there for one. Start one: "
        return CommandFailed(message + target.worker_command(queue), code=ExitCode.NO_SERVER, type="NoWorker")

    somebody = await has_workers(client, queue)
    watch = TaskWatch(handle, view, signals, only_looks=True, server=target.options(), prompt=prompt)
    guards = (miss_workers(client, queue, watch, nobody), _miss_server(client, watch))
    view.resume()
    tasks = [asyncio.create_task(guard) for guard in guards]
    return await watch.until_end(*tasks, last=ENDED_SECONDS if somebody else 0)


async def _miss_server(client: Client, watch: TaskWatch) -> None:
    """Raises `_ServerAway` once the task does not answer because its server does not."""
    while True:
        await asyncio.sleep(PING_SECONDS / 2)
        if watch.unanswered is not None and not await answers(client):
            raise _ServerAway
