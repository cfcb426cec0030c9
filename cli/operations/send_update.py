"""Sends a person's decision to a running task, and says what to do if no worker takes it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from temporalio.client import Client

from ...client.board import standing_board
from ...client.board_query import LAST_SECONDS
from ...client.errors import NoAnswer, NoWorker, Refused
from ...client.updates import find_task, send_update
from ...runtime.codec import PayloadUnreadable
from ...runtime.connection import has_workers
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import say
from ..terminal.questions import terms_of


async def tell(
    target: ServerTarget, id: str, name: str, argument: Mapping[str, Any], *, seconds: float
) -> Any:
    """Sends an update to a task and waits for its answer.

    Args:
        target: The server.
        id: The workflow id.
        name: The name of the update.
        argument: Its one argument as JSON.
        seconds: How long to wait for the task to accept it, and then again for the answer.

    Returns:
        The answer as JSON; None where the task has done it, and its answer cannot be decoded here.

    Raises:
        CommandFailed: The task refuses the update, or no worker runs it.
        UnknownTask: There is no such task.
        TaskEnded: The task has ended.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    try:
        if name == "decide" and "hash" not in argument and "token" not in argument:
            argument = {**argument, **await _shown_now(client, id, str(argument["step"]))}
        return await send_update(client, id, name, argument, seconds=seconds)
    except PayloadUnreadable as unread:
        # How it was refused can always be read, as far as it goes, so this is an answer that says yes.
        say(f"It is done, but the answer cannot be shown. {unread}")
        return None
    except NoAnswer as silence:
        look = f"`{target.command('status', id)}`"
        if silence.accepted:
            raise _nobody(f"{silence} See {look}.") from None
        start = target.worker_command(silence.task_queue)
        raise _nobody(f"{silence} Look at {look} before you say it again. Start one: {start}") from None
    except NoWorker as absence:
        start = target.worker_command(absence.task_queue)
        raise _nobody(f"{absence} Start one, then say it again: {start}") from None
    except Refused as refusal:
        raise CommandFailed(str(refusal), type=refusal.type) from None


async def _shown_now(client: Client, id: str, step: str) -> dict[str, Any]:
    """Prints what a question shows whose answer has to name it; returns the hash of just that."""
    handle, found = await find_task(client, id)
    board = None
    if await has_workers(client, found.task_queue):
        with suppress(PayloadUnreadable):
            board = await standing_board(handle, LAST_SECONDS)
    for asked in (board or {}).get("waiting_for") or ():
        if asked["step"] == step and asked.get("task", id) == id and asked.get("hash"):
            say("\n".join([f"{step}: {asked['ask']}", *(f"  {line}" for line in terms_of(asked))]))
            return {"hash": asked["hash"]}
    return {}


def _nobody(message: str) -> CommandFailed:
    return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")
