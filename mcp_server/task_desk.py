"""What an MCP client may do with tasks: start, watch, answer, cancel and list those of the bundles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from temporalio.client import Client

from ..client import Asked, NoAnswer, Refused, Task, TaskClient, UnknownTask
from ..client.search import search
from ..saga.errors import FailureType
from ..saga.record.search_attributes import SAGA_STATE
from ..saga.record.task_state import ENDED
from ..saga.spec.catalog import Catalog
from .task_answer import Question, TaskAnswer

_LOOK: Final = 0.5
"""Seconds between two looks at a task that is watched."""

_MOST_LISTED: Final = 50

Tell = Callable[[TaskAnswer], Awaitable[None]]
"""Is told how far a task has come while it is watched."""


class TaskDesk:
    """The tasks of some bundles, as one person sees them."""

    def __init__(
        self, client: Client, catalog: Catalog, task_queue: str, by: str | None, token: str | None
    ) -> None:
        """Opens a desk.

        Args:
            client: A connected client.
            catalog: What the bundles offer.
            task_queue: The queue of the workers.
            by: Who decides; a claim. None where the token says it.
            token: A signed token that proves it, or None.
        """
        self._client = client
        self._tasks = TaskClient(client, task_queue=task_queue)
        self._catalog = catalog
        self._by = by
        self._token = token

    async def start(self, task: str, input: Any, id: str | None, seconds: float, tell: Tell) -> TaskAnswer:
        """Starts a task, or finds the one that was started under the id with the same input.

        Args:
            task: The name of a registered task.
            input: Its input.
            id: Its id; None for a new one.
            seconds: How long is waited for its end, or for a question.
            tell: See `Tell`.
        """
        started = await self._tasks.start(task, input, id=id)
        seen = await self._watched(started, seconds, tell)
        return seen.model_copy(update={"is_new": started.is_new})

    async def watch(self, id: str, seconds: float, tell: Tell) -> TaskAnswer:
        """Waits for the end of a task, or for a question."""
        return await self._watched(await self.task(id), seconds, tell)

    async def decide(
        self, id: str, step: str, action: str, value: Any, note: str, hash: str | None
    ) -> TaskAnswer:
        """Answers a question of a task, or of a child of it.

        Args:
            id: The task.
            step: Who asks.
            action: The answer.
            value: What it needs beside its name.
            note: The reason.
            hash: Of what was shown.
        """
        task = await self.task(id)
        asked = await self._asked(task, step)
        if asked.hash and hash is None:
            reason = "this answer has to name the hash of what was shown, which waiting_for has"
            raise Refused(f"{id}: {reason}", FailureType.REFUSED)
        at = await self._tasks.attach(asked.task) if asked.task is not None else task
        tell = at.decide if asked.update == "decide" else at.resolve
        more = {"hash": hash} if asked.update == "decide" and hash else {}
        await tell(step, action, by=self._by, value=value, note=note, token=self._token, **more)
        return await self._watched(task, 5, _nobody)

    def has_said(self, question: Question) -> bool:
        """Says whether the person of this desk has answered, and others are still to."""
        return self._by is not None and self._by.casefold() in (name.casefold() for name in question.said)

    async def cancel(self, id: str, seconds: float) -> TaskAnswer:
        """Asks a task to cancel, and waits for what it undoes."""
        task = await self.task(id)
        await task.cancel()
        return await self._watched(task, seconds, _nobody, until_end=True)

    async def list(self) -> list[dict[str, Any]]:
        """Returns the newest tasks of the bundles."""
        names = ", ".join(f"'{name}'" for name in sorted(self._catalog.tasks))
        query = f"WorkflowType IN ({names}) AND {SAGA_STATE.name} IS NOT NULL"
        return [
            {
                "task_id": found.id,
                "task": found.workflow_type,
                "status": found.status.name.lower() if found.status else "",
                "started": found.start_time.isoformat(),
            }
            async for found in search(self._client, query, limit=_MOST_LISTED)
        ]

    async def task(self, id: str) -> Task:
        """Finds a task of the bundles; raises `UnknownTask` for every other workflow."""
        found = await self._tasks.attach(id)
        if found.name not in self._catalog.tasks:
            raise UnknownTask(f"{id!r} is not a task that is served here.")
        return found

    async def _asked(self, task: Task, step: str) -> Asked:
        board = await task.board()
        found = next((asked for asked in board.waiting_for if asked.step == step), None)
        if found is None:
            known = ", ".join(asked.step for asked in board.waiting_for) or "nothing"
            raise Refused(f"{task.id} does not wait for {step!r}; it waits for {known}", FailureType.REFUSED)
        return found

    async def _watched(
        self, task: Task, seconds: float, tell: Tell, *, until_end: bool = False
    ) -> TaskAnswer:
        """Waits for the end of a task, or until it waits for a person; returns what is known then."""
        ending = asyncio.ensure_future(task.outcome())
        until = asyncio.get_running_loop().time() + seconds
        told: Mapping[str, Any] = {}
        try:
            while True:
                done, _ = await asyncio.wait({ending}, timeout=min(_LOOK, max(seconds, 0.05)))
                if done:
                    return TaskAnswer.of_end(ending.result(), task.name)
                seen = await self._seen(task)
                if told != (now := seen.model_dump(include={"state", "steps_done", "at"})):
                    told = now
                    await tell(seen)
                over = not asyncio.get_running_loop().time() < until  # NaN is no time to wait
                if over or (seen.waiting_for and not until_end and seen.state not in ENDED):
                    return seen
        finally:
            ending.cancel()

    async def _seen(self, task: Task) -> TaskAnswer:
        try:
            return TaskAnswer.of_board(await task.board(seconds=5))
        except NoAnswer as error:
            return TaskAnswer(task_id=task.id, task=task.name, state="running", next=str(error))


async def _nobody(_: TaskAnswer) -> None:
    return
