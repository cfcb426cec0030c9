"""Sends a person's decision to a running task, and says what to do if no worker takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...client.errors import NoAnswer, NoWorker, Refused
from ...client.updates import send_update
from ...runtime.codec import PayloadUnreadable
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import say


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


def _nobody(message: str) -> CommandFailed:
    return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")
