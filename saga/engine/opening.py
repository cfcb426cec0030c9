"""The first moments of a task: its record is opened, and its snapshot is taken."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from ..history_format import RESOLVE
from ..limits.budget import Budget
from ..record.board import board
from ..record.board_markdown import markdown
from ..record.task_record import Book
from ..spec.snapshot import Question, Snapshot
from ..temporal.handlers import serve_query


async def take_snapshot(question: Question, *, activity_id: str = "resolve") -> Snapshot:
    """Settles spec and catalog in one local activity.

    Raises:
        ApplicationError: The task is unknown, or spec or input have faults; nothing has run.
    """
    try:
        answer = await workflow.execute_local_activity(
            RESOLVE,
            question.model_dump(mode="json"),
            start_to_close_timeout=timedelta(seconds=10),
            activity_id=activity_id,
            summary="resolve the names that this task uses",
        )
    except ActivityError as error:
        if isinstance(error.cause, ApplicationError):
            cause = error.cause
            raise ApplicationError(
                cause.message, *cause.details, type=cause.type, non_retryable=True
            ) from None
        raise
    return Snapshot.model_validate(answer)


def open_book(task: str, goal: str = "", budget: Budget | None = None) -> Book:
    """Opens the book of this workflow and serves it as the query ``board``."""
    book = Book(
        task=task,
        task_id=workflow.info().workflow_id,
        goal=goal,
        budget=budget or Budget(),
        now=workflow.now,
        changed=lambda changed: workflow.set_current_details(markdown(changed)),
    )
    serve_query("board", lambda: board(book))

    def count_reset(seed: int) -> None:
        book.resets += 1

    # Called once for each reset, at the same place of the history in every replay.
    workflow.register_random_seed_callback(count_reset)
    return book
