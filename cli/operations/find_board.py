"""Finds a task and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...client.board import standing_board
from ...client.board_query import LAST_SECONDS
from ...client.recovery import board_with_recovery
from ...client.server_board import server_board
from ...client.undo_attempts import with_all_attempts
from ...client.updates import find_task
from ...runtime.codec import PayloadUnreadable
from ...runtime.connection import has_workers
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.questions import PEOPLE


async def look_up(target: ServerTarget, id: str) -> tuple[Mapping[str, Any], str]:
    """Asks for a task's board.

    Returns:
        The board, and a note if it does not come from a worker.

    Raises:
        UnknownTask: There is no such task.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    handle, found = await find_task(client, id)
    why = f"No worker polls the queue {found.task_queue!r}"
    if await has_workers(client, found.task_queue):
        try:
            board = await standing_board(handle, LAST_SECONDS)
            board = board and await with_all_attempts(handle, board)
        except PayloadUnreadable as unread:
            board, why = None, f"The board cannot be shown. {str(unread).rstrip('.')}"
        else:
            if board is not None:
                return await board_with_recovery(client, board), ""
            why = f"The workers of the queue {found.task_queue!r} do not answer"
    board = await board_with_recovery(client, await server_board(handle, found, why))
    note = f"{why}; this is what the server knows. It is partial: steps, undos and the log are not in it."
    if board["state"] in PEOPLE:
        note += f" What it waits for, a worker would tell: {target.worker_command(found.task_queue)}"
    return board, note


async def look_up_whole(target: ServerTarget, id: str, *, what: str) -> Mapping[str, Any]:
    """Asks a worker for a task's board.

    Args:
        target: The server.
        id: The workflow id.
        what: What it is wanted for, e.g. ``The steps``.

    Returns:
        The board.

    Raises:
        CommandFailed: No worker tells it.
        UnknownTask: There is no such task.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    board, note = await look_up(target, id)
    if note:
        raise CommandFailed(
            f"{note} {what}, only a worker can tell.", code=ExitCode.NO_SERVER, type="NoWorker"
        )
    return board
