"""Reads one task for its page, however much of it can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus

from ..client.board import Board, standing_board
from ..client.board_query import LAST_SECONDS
from ..client.updates import find_task
from ..runtime.codec import PayloadUnreadable
from ..runtime.connection import has_workers
from ..saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from ..saga.record.task_state import ENDED

_UNREADABLE: Final = 502
_NO_ANSWER: Final = 503


@dataclass(frozen=True, slots=True)
class SeenTask:
    """One task.

    Attributes:
        id: Its workflow id.
        name: Its name.
        state: Its state, or what is known of it.
        has_ended: Whether it takes no more answers.
        board: Its board; None where nobody can tell it.
        note: Why not, or what else is to be said; may be empty.
        status: The HTTP status of its page.
    """

    id: str
    name: str
    state: str
    has_ended: bool
    board: Board | None
    note: str = ""
    status: int = 200


async def read_task(client: Client, id: str) -> SeenTask:
    """Reads a task.

    Args:
        client: A connected client.
        id: The workflow id.

    Returns:
        What is known of it.

    Raises:
        UnknownTask: There is no such task.
        RPCError: The server does not answer.
    """
    handle, found = await find_task(client, id)
    attributes = found.typed_search_attributes
    has_ended = found.status is not WorkflowExecutionStatus.RUNNING
    status = found.status.name.lower() if found.status else "running"
    name = attributes.get(SAGA_TASK) or found.workflow_type
    state = attributes.get(SAGA_STATE) or status
    if has_ended and state not in ENDED:
        state = status  # it was ended by force, and could not say so

    def without_board(note: str, code: int) -> SeenTask:
        return SeenTask(id, name, state, has_ended, None, note, 200 if has_ended else code)

    if not await has_workers(client, found.task_queue):
        return without_board(
            f"No worker polls the queue {found.task_queue!r}, so nobody can tell more.", _NO_ANSWER
        )
    try:
        document = await standing_board(handle, LAST_SECONDS)
        board = Board.model_validate(document) if document is not None else None
    except PayloadUnreadable as unread:
        return without_board(f"The board cannot be shown. {unread}", _UNREADABLE)
    except ValidationError:
        return without_board("The board has a shape that this version does not know.", _UNREADABLE)
    if board is None:
        note = (
            f"The workers of the queue {found.task_queue!r} do not tell its board; it may be no task of ours."
        )
        return without_board(note, _NO_ANSWER)
    return SeenTask(id, board.task, board.state.value, board.state in ENDED, board)
