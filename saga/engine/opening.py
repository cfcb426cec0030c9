"""The first moments of a task: its record is opened, and its snapshot is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from ..calls import unknown_names
from ..calls.headers import PARENT
from ..errors import FailureType
from ..failure import LeftToOthers
from ..history_format import RESOLVE
from ..limits.budget import Budget
from ..record.board import board
from ..record.board_markdown import markdown
from ..record.resets import Resets
from ..record.task_record import TaskRecord
from ..spec.snapshot import Snapshot, SnapshotRequest
from ..temporal.handlers import serve_query

_SHOWN = "__counterstep_shown__"


class Observer(Protocol):
    """Looks on while a recorded task is replayed, and changes nothing."""

    def begins(self, record: TaskRecord, snapshot: Snapshot, task_input: Any) -> None:
        """Sees a run of a task with a spec begin, with what it remembers of earlier runs."""

    def sees(self, record: TaskRecord) -> None:
        """Sees a record after a change of a step's or the task's state."""


OBSERVER: ContextVar[Observer | None] = ContextVar("counterstep_observer", default=None)
"""Set where a history is replayed to find out what its task knew; nobody looks on otherwise."""


async def take_snapshot(question: SnapshotRequest, *, activity_id: str = "resolve") -> Snapshot:
    """Settles spec and catalog in one local activity.

    Raises:
        ApplicationError: The task is unknown, or spec or input have faults; nothing has run.
        LeftToOthers: The task is unknown to this worker, and another one may still know it.
    """
    parent = PARENT.get()
    if parent is not None and parent.allotment is not None and parent.allotment.most.prices_matter:
        question = question.model_copy(update={"appraise": True})
    try:
        answer = await workflow.execute_local_activity(
            RESOLVE,
            question.model_dump(mode="json"),
            start_to_close_timeout=timedelta(seconds=10),
            activity_id=activity_id,
            summary="resolve the names that this task uses",
        )
    except (ActivityError, ApplicationError) as error:
        cause = error.cause if isinstance(error, ActivityError) else error
        if not isinstance(cause, ApplicationError):
            raise
        if cause.type == FailureType.UNKNOWN_TASK and may_be_known_elsewhere():
            workflow.logger.warning("%s; it is left to the other workers of the queue", cause.message)
            raise LeftToOthers(cause.message) from None
        raise ApplicationError(cause.message, *cause.details, type=cause.type, non_retryable=True) from None
    return Snapshot.model_validate(answer)


def current_details() -> str:
    """Renders what the Web UI shows of the running workflow; empty for one that is not a task.

    It is rendered when somebody looks, and of several records the one that has changed last counts.
    """
    record = getattr(workflow.instance(), _SHOWN, None)
    return "" if record is None else markdown(record)


def _history_length() -> int:
    # What is thrown away, as by an eviction, may come to its end outside of any workflow.
    return workflow.info().get_current_history_length() if workflow.in_workflow() else -1


def open_record(task: str, goal: str = "", budget: Budget | None = None) -> TaskRecord:
    """Opens the record of this workflow and serves it as the query ``board``."""
    show: Callable[[TaskRecord], None] = partial(setattr, workflow.instance(), _SHOWN)
    observer = OBSERVER.get()

    def changed(record: TaskRecord) -> None:
        show(record)
        if observer is not None:
            observer.sees(record)

    record = TaskRecord(
        task=task,
        task_id=workflow.info().workflow_id,
        goal=goal,
        budget=budget or Budget(),
        now=workflow.now,
        changed=show if observer is None else changed,
        resets=Resets(_history_length),
    )
    serve_query("board", lambda: board(record))

    loop = asyncio.get_running_loop()

    def count_reset(seed: int) -> None:
        # Outside of the workflow's loop nothing can be asked; in it, this comes before all that is told.
        loop.call_soon(record.resets.add)

    # Called once for each reset, at the same place of the history in every replay.
    workflow.register_random_seed_callback(count_reset)
    return record


def may_be_known_elsewhere() -> bool:
    """Says whether it is worth waiting for another worker; somebody who cancels the task does not wait."""
    if workflow.cancellation_reason() is not None:
        return False
    return workflow.now() - workflow.info().start_time < unknown_names.PATIENCE
