"""Sends what a person tells a running task, and prints the answer, for all commands that do so."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CommandFailed
from ..terminal.output import emit, say

if TYPE_CHECKING:
    from ..arguments.server_target import ServerTarget


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """An update, and the person who sends it.

    Attributes:
        id: The task's workflow id.
        update: The name of the update.
        argument: The update's argument, without `by` and `note`.
        by: The person who decides; None for the user of this machine.
        note: The person's reason.
        token: A signed token that proves who decides; None for a claim.
    """

    id: str
    update: str
    argument: Mapping[str, Any]
    by: str | None
    note: str
    token: str | None = None


def send(
    message: UpdateRequest,
    said: str,
    *,
    seconds: float,
    address: str | None,
    namespace: str | None,
    codec: str | None,
    json: bool,
) -> Any:
    """Sends an update and prints the answer.

    Args:
        message: The update.
        said: The update in a few words for people.
        seconds: How long the task may take to accept it.
        address: The value of ``--address``.
        namespace: The value of ``--namespace``.
        codec: The value of ``--codec``.
        json: Whether to print the task's answer as JSON.

    Returns:
        The answer as JSON.

    Raises:
        CommandFailed: The task cannot be reached, or it refuses the update.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    # Temporal's client is slow to load, and a faulty message does not need it.
    from ..arguments.server_target import find_target

    target = find_target(address, namespace, codec)
    answer = target.ask(deliver(target, message, said, seconds=seconds))
    if json:
        emit(answer)
    return answer


async def deliver(target: ServerTarget, message: UpdateRequest, said: str, *, seconds: float) -> Any:
    """Sends an update, and tells people that it was accepted.

    Args:
        target: The server.
        message: The update.
        said: The update in a few words for people.
        seconds: How long the task may take to accept it.

    Returns:
        The answer as JSON; it raises what `send_update.tell` raises.
    """
    from .send_update import tell

    argument = {**message.argument, "note": message.note}
    if message.token is not None:
        argument["token"] = message.token
    if message.by is not None or message.token is None:
        argument["by"] = message.by if message.by is not None else _login_name()
    answer = await tell(target, message.id, message.update, argument, seconds=seconds)
    who = f"{argument.get('by')} (a claim; nobody has checked it)"
    say(f"{message.id}: {said}, says {who if message.token is None else 'who has signed the token'}.")
    return answer


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise CommandFailed("This machine does not know your name; say who you are with --by.") from None
