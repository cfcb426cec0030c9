"""What a child waits for, told to its parent: nobody has to look for the task that wants an answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError

from .book import Book
from .catalog import RECOVER_CHILD
from .failure import trim
from .handover import PARENT
from .ledger import EntryState
from .serving import serve_signal
from .status import Status
from .task_state import TaskState

CHILD_WAITS: Final = "counterstep.child_waits"
MOST: Final = 20
"""Questions of one child that its parent shows; the child's own board has them all."""


class ChildWait(BaseModel):
    """The signal of a child.

    Attributes:
        child: Its workflow id.
        state: What it shows.
        waiting_for: What it asks people, as on its board, with the id of the `task` that takes the answer.
    """

    model_config = ConfigDict(frozen=True)

    child: str
    state: TaskState
    waiting_for: tuple[dict[str, Any], ...] = ()


class ChildWaits:
    """Tells the parent of the running task what it waits for, and hears the same from its children."""

    def __init__(self, book: Book, status: Status) -> None:
        """Serves the signal from now on, and adds to what the board says is waited for."""
        self._book = book
        self._status = status
        self._heard: dict[str, tuple[str, ChildWait]] = {}
        self._is_telling = False
        self._own = book.waiting_for
        book.waiting_for = self.waiting_for
        parent = workflow.info().parent
        if PARENT.get() is not None and parent is not None:
            self._parent = workflow.get_external_workflow_handle(parent.workflow_id)
            status.waits_changed = self._tell_soon
        serve_signal(CHILD_WAITS, self._hear)

    def waiting_for(self) -> list[dict[str, Any]]:
        """Returns the open questions of the task and of its children as JSON, for the board."""
        return [*self._own(), *(asked for _, wait in self._heard.values() for asked in wait.waiting_for)]

    def over(self, child_id: str) -> None:
        """Says that a child has ended, and so waits for nobody."""
        step, wait = self._heard.pop(child_id, ("", None))
        if wait is not None:
            self._status.release(wait.state, step)

    # --- to the parent

    def _tell_soon(self) -> None:
        """Tells once what changes at once."""
        if not self._is_telling:
            self._is_telling = True
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        self._is_telling = False
        task_id = workflow.info().workflow_id
        asked = [
            {"task": task_id, **question, "ask": trim(question["ask"], 500), "show": None}
            for question in self.waiting_for()[:MOST]
        ]
        wait = ChildWait(child=task_id, state=self._book.state, waiting_for=tuple(asked))
        with suppress(FailureError):  # the parent has ended
            await self._parent.signal(CHILD_WAITS, wait.model_dump(mode="json"))

    # --- from a child

    def _hear(self, argument: Any = None) -> None:
        try:
            wait = ChildWait.model_validate(argument)
        except ValidationError:
            return  # no child of ours has sent it
        step = self._step_of(wait.child)
        if step is None:
            return
        self.over(wait.child)
        if wait.waiting_for:
            self._heard[wait.child] = (step, wait)
            self._status.hold(wait.state, step)

    def _step_of(self, child_id: str) -> str | None:
        """Returns the step whose child this is, while it runs."""
        for entry in self._book.ledger:
            running = entry.state is EntryState.ARMED and entry.compensation == RECOVER_CHILD
            if running and entry.input["workflow_id"] == child_id:
                return entry.step
        return None
