"""What a child waits for, told to its parent: nobody has to look for the task that wants an answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError

from ..calls.headers import PARENT
from ..failure import trim
from ..history_format import RECOVER_CHILD
from ..ledger.ledger import EntryState
from ..record.bounded import bounded
from ..record.status import Status
from ..record.task_record import TaskRecord
from ..record.task_state import TaskState
from ..temporal.handlers import serve_signal

CHILD_WAITS: Final = "counterstep.child_waits"
MOST: Final = 20
"""Questions of one child that its parent shows; the child's own board has them all."""

MAX_EVIDENCE: Final = 2_000
"""Characters of what one of them shows."""

_WAITS = (TaskState.WAITING, TaskState.NEEDS_ATTENTION)


class AskedByChild(BaseModel):
    """What a child asks, as on its board, and who takes the answer."""

    model_config = ConfigDict(frozen=True)

    task: str
    step: str
    kind: str
    ask: str
    actions: tuple[str, ...]
    since: str
    update: Literal["decide", "resolve"]
    hash: str = ""
    entry: str | None = None
    show: Any = None
    deadline: str | None = None
    default: str | None = None
    people: int = 1
    roles: tuple[tuple[str, ...], ...] = ()


class ChildQuestion(BaseModel):
    """The signal of a child.

    Attributes:
        child: Its workflow id.
        state: What it shows.
        waiting_for: What it asks people, it or a child of its own.
    """

    model_config = ConfigDict(frozen=True)

    child: str
    state: TaskState
    waiting_for: tuple[AskedByChild, ...] = ()


class ChildQuestions:
    """Tells the parent of the running task what it waits for, and hears the same from its children."""

    def __init__(self, record: TaskRecord, status: Status) -> None:
        """Serves the signal from now on, and adds to what the board says is waited for."""
        self._record = record
        self._status = status
        self._heard: dict[str, tuple[str, ChildQuestion]] = {}
        self._has_news = False
        self._telling: asyncio.Task[None] | None = None
        record.show_questions(self._of_children)
        parent = workflow.info().parent
        if PARENT.get() is not None and parent is not None:
            self._parent = workflow.get_external_workflow_handle(parent.workflow_id)
            status.waits_changed = self._tell_soon
        serve_signal(CHILD_WAITS, self._hear)

    def _of_children(self) -> list[dict[str, Any]]:
        heard = [asked for _, wait in self._heard.values() for asked in wait.waiting_for]
        return [asked.model_dump(mode="json", exclude_defaults=True) for asked in heard]

    def over(self, child_id: str) -> None:
        """Says that a child has ended, and so waits for nobody."""
        step, wait = self._heard.pop(child_id, ("", None))
        if wait is not None:
            self._status.release(wait.state, step)

    # --- to the parent

    def _tell_soon(self) -> None:
        """Tells once what changes at once."""
        self._has_news = True
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        """Tells one thing after the other: signals that are sent side by side may change places."""
        while self._has_news:
            self._has_news = False
            task_id = workflow.info().workflow_id
            asked = [
                AskedByChild.model_validate({"task": task_id, **question, **_small(question)})
                for question in self._record.waiting_for()[:MOST]
            ]
            wait = ChildQuestion(child=task_id, state=self._record.state, waiting_for=tuple(asked))
            with suppress(FailureError):  # the parent has ended
                await self._parent.signal(CHILD_WAITS, wait.model_dump(mode="json"))

    # --- from a child

    def _hear(self, argument: Any = None) -> None:
        try:
            wait = ChildQuestion.model_validate(argument)
        except ValidationError:
            return  # no child of ours has sent it
        step = self._step_of(wait.child)
        if step is None:
            return
        self.over(wait.child)
        if wait.waiting_for and wait.state in _WAITS:
            self._heard[wait.child] = (step, wait)
            self._status.hold(wait.state, step)

    def _step_of(self, child_id: str) -> str | None:
        """Returns the step whose child this is, while it runs."""
        entry = self._record.ledger.entries.get(child_id.removeprefix(f"{workflow.info().workflow_id}/"))
        if entry is None or entry.state is not EntryState.ARMED or entry.compensation != RECOVER_CHILD:
            return None
        return entry.step if entry.input["workflow_id"] == child_id else None


def _small(question: dict[str, Any]) -> dict[str, Any]:
    return {"ask": trim(question["ask"], 500), "show": bounded(question.get("show"), MAX_EVIDENCE)}
