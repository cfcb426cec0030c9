"""Asks a task for its board, as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from temporalio.client import WorkflowHandle, WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.service import RPCError, RPCStatusCode

from .undo_attempts import with_running_attempts

QUERY_SECONDS: Final = 3.0
"""How long a worker may take to answer what a task's board is."""

LAST_SECONDS: Final = 10.0
"""The same for the board of a task that has ended, where nothing else tells what was undone."""


async def read_board(
    handle: WorkflowHandle[Any, Any], seconds: float = QUERY_SECONDS
) -> Mapping[str, Any] | None:
    """Asks a task for its board.

    Args:
        handle: The handle of the task.
        seconds: How long to wait for the board.

    Returns:
        The board as JSON; None if no worker answers in time, or if the workflow does not have a board.

    Raises:
        RPCError: The server does not answer, or does not know the task.
    """
    board = await _asked(handle, min(seconds, QUERY_SECONDS))
    if board is None and seconds > QUERY_SECONDS:
        # A question that meets the end of its task can be lost; asked again, it is answered at once.
        board = await _asked(handle, seconds - QUERY_SECONDS)
    return board and await with_running_attempts(handle, board)


async def _asked(handle: WorkflowHandle[Any, Any], seconds: float) -> Mapping[str, Any] | None:
    try:
        async with asyncio.timeout(seconds):
            board = await handle.query("board")
    except (TimeoutError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
        return None
    except RPCError as error:
        # Without workers, and before a task's first step, the server answers with these.
        if error.status in (
            RPCStatusCode.FAILED_PRECONDITION,
            RPCStatusCode.CANCELLED,
            RPCStatusCode.DEADLINE_EXCEEDED,
        ):
            return None
        raise
    return board if isinstance(board, Mapping) and "state" in board else None
