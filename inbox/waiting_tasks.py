"""Finds the tasks that wait for people, and reads the boards of those that are shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from ..client.board import Board
from ..client.board_query import read_board
from ..client.search import search
from ..runtime.codec import PayloadUnreadable
from ..runtime.connection import has_workers
from ..saga.record.search_attributes import SAGA_STATE, SAGA_TASK
from ..saga.record.task_state import TaskState

MOST_FOUND: Final = 20_000
"""Waiting tasks that are looked through for the oldest; Temporal lists the newest first."""

SIDE_BY_SIDE: Final = 8
"""Boards that are asked for at once, by all who look at the inbox together."""

PAGE: Final = 20
"""Tasks that are shown at once."""

LOOKED_AT: Final = 100
"""Boards that are looked at for one page: a task may wait for an event or a time, and ask nobody."""

_FRESH: Final = 2.0
"""Seconds for which a list counts: many browsers look at it at once."""

_EFFORT: Final = 10
"""A list counts at least this many times as long as it took: 10,000 tasks take some seconds."""

_SILENT: Final = 5.0
"""Seconds for which a task that asks nobody is not looked at again."""

_QUERY: Final = (
    f'{SAGA_STATE.name} IN ("{TaskState.WAITING}", "{TaskState.NEEDS_ATTENTION}")'
    ' AND ExecutionStatus = "Running"'
)
_WRONG_SHAPE: Final = "Its board has a shape that this version does not know."


@dataclass(frozen=True, slots=True)
class FoundTask:
    """A task that waits, as the server lists it.

    Attributes:
        id: Its workflow id.
        name: Its name.
        task_queue: The queue of its workers.
        started: When it was started.
    """

    id: str
    name: str
    task_queue: str
    started: datetime


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """The board of a task that waits.

    Attributes:
        task: The task.
        board: Its board; None where nobody can tell it.
        note: Why not.
    """

    task: FoundTask
    board: Board | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class AskingTasks:
    """A part of the tasks that wait: those that ask somebody, and those of which nobody can tell.

    Attributes:
        boards: Their boards, the tasks that began first at the top.
        next: Where the next part begins, among all that wait; None where this is the last one.
        total: How many wait, also for events and times.
    """

    boards: tuple[FoundBoard, ...]
    next: int | None
    total: int


class WaitingTasks:
    """The tasks of one namespace that wait for people."""

    def __init__(self, client: Client) -> None:
        """Prepares for a namespace.

        Args:
            client: A connected client.
        """
        self._client = client
        self._listing = asyncio.Lock()
        self._tasks: tuple[FoundTask, ...] = ()
        self._fresh_until = 0.0
        self._room = asyncio.Semaphore(SIDE_BY_SIDE)
        self._silent: dict[str, float] = {}

    async def find(self) -> tuple[FoundTask, ...]:
        """Lists them, those that began first at the top.

        Raises:
            SearchAttributesMissing: The namespace does not tell what waits.
            RPCError: The server does not answer.
        """
        async with self._listing:
            began = time.monotonic()
            if began >= self._fresh_until:
                found = [_found(one) async for one in search(self._client, _QUERY, MOST_FOUND)]
                self._tasks = tuple(sorted(found, key=lambda task: (task.started, task.id)))
                now = time.monotonic()
                self._silent = {id: until for id, until in self._silent.items() if until > now}
                self._fresh_until = now + max(_FRESH, _EFFORT * (now - began))
            return self._tasks

    async def asking(self, start: int) -> AskingTasks:
        """Looks for a page of tasks that ask somebody.

        Args:
            start: Where to begin, among all that wait.

        Raises:
            SearchAttributesMissing: The namespace does not tell what waits.
            RPCError: The server does not answer.
        """
        tasks = await self.find()
        found: list[FoundBoard] = []
        place = start
        while place < len(tasks) and place < start + LOOKED_AT and len(found) < PAGE:
            part = tasks[place : place + PAGE - len(found)]
            place += len(part)
            now = time.monotonic()
            boards = await self.boards([task for task in part if self._silent.get(task.id, 0) <= now])
            asks = [one for one in boards if one.board is None or one.board.waiting_for]
            self._silent |= {one.task.id: now + _SILENT for one in boards if one not in asks}
            found += asks
        return AskingTasks(tuple(found), place if place < len(tasks) else None, len(tasks))

    async def boards(self, tasks: Sequence[FoundTask]) -> list[FoundBoard]:
        """Reads the boards of some of them, in the same order.

        Raises:
            RPCError: The server does not answer.
        """
        queues = sorted({task.task_queue for task in tasks})
        served = dict(zip(queues, await asyncio.gather(*map(self._is_served, queues)), strict=True))
        return await asyncio.gather(*(self._board(task, served[task.task_queue]) for task in tasks))

    async def _is_served(self, task_queue: str) -> bool:
        async with self._room:
            return await has_workers(self._client, task_queue)

    async def _board(self, task: FoundTask, is_served: bool) -> FoundBoard:
        silence = f"The workers of the queue {task.task_queue!r} do not answer."
        if not is_served:
            return FoundBoard(task, None, f"No worker polls the queue {task.task_queue!r}.")
        async with self._room:
            try:
                board = await read_board(self._client.get_workflow_handle(task.id))
            except PayloadUnreadable as unread:
                return FoundBoard(task, None, f"Its board cannot be shown: {unread}")
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return FoundBoard(task, None, "It is gone.")
        try:
            return FoundBoard(task, Board.model_validate(board)) if board else FoundBoard(task, None, silence)
        except ValidationError:
            return FoundBoard(task, None, _WRONG_SHAPE)


def _found(found: WorkflowExecution) -> FoundTask:
    name = found.typed_search_attributes.get(SAGA_TASK) or found.workflow_type
    return FoundTask(found.id, name, found.task_queue, found.start_time)
