"""What a person tells a running task: the common half of the commands that do it."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import CommandFailed
from ..terminal.output import emit, say


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """An update and who sends it.

    Attributes:
        id: The task's workflow id.
        update: The name of the update.
        argument: Its argument, without `by` and `note`.
        by: Who says so; None for the user at this machine.
        note: Why.
    """

    id: str
    update: str
    argument: Mapping[str, Any]
    by: str | None
    note: str


def send(
    message: UpdateRequest,
    said: str,
    *,
    seconds: float,
    address: str | None,
    namespace: str | None,
    json: bool,
) -> Any:
    """Sends a message and prints what became of it.

    Args:
        message: What to send.
        said: The same in a few words for people.
        seconds: How long the task may take to accept it.
        address: ``--address``.
        namespace: ``--namespace``.
        json: Print the task's answer as data.

    Returns:
        The answer, JSON.

    Raises:
        CommandFailed: The task cannot be told, or refuses.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    # Temporal's client takes its time to load, and a faulty message does not need it.
    from ..arguments.server_target import find_target
    from .send_update import tell

    by = message.by if message.by is not None else _login_name()
    argument = {**message.argument, "by": by, "note": message.note}
    target = find_target(address, namespace)
    answer = target.ask(tell(target, message.id, message.update, argument, seconds=seconds))
    say(f"{message.id}: {said}, says {by} (a claim; nobody has checked it).")
    if json:
        emit(answer)
    return answer


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise CommandFailed("This machine does not know your name; say who you are with --by.") from None
