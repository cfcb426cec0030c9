"""The board of a task as typed values, and the queries with which a client gets it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
)

from ..runtime.codec import PayloadUnreadable
from ..saga.failure import Failure
from ..saga.ledger.ledger import EntryState
from ..saga.limits.budget import Budget
from ..saga.record.step_record import UNDER_WAY, StepState
from ..saga.record.task_state import ENDED, TaskState
from ..saga.verdict import Verdict
from .board_query import LAST_SECONDS, QUERY_SECONDS, read_board
from .outcome import end_of, outcome_of, tells_all

OF_THE_END: Final = {"state", "failure", "undone", "not_undone", "forced_end"}

_CUT_OFF: Final = "the task was ended while this went on; nobody knows whether it has happened"


class _Part(BaseModel):
    # Fields that a later version of a worker adds are kept.
    model_config = ConfigDict(frozen=True, extra="allow")


class Spent(_Part):
    """What was spent on models.

    Attributes:
        usd: US dollars; models without a price do not count.
    """

    model_calls: int = 0
    tokens: int = 0
    usd: float = 0.0


class StepBoard(_Part):
    """One step.

    Attributes:
        state: The state of the step.
        agent: The agent that it calls, if it calls one.
        tool: The tool that it calls, if it calls one.
        team: The team that is written in it, if there is one.
        needs: The steps that it waits for.
        attempts: How many times its call was started.
        started: When it started, in UTC.
        finished: When it finished, in UTC.
        output: Its output; a large one is replaced by a sentence that gives its size.
        error: Why it failed.
        degraded: Why its output is less than what was meant: only what there was at a limit, or made by
            something that stood in after a failure; None where it is whole.
        verdicts: The verdicts of its validators.
        usage: What it has spent.
        taken_over: Whether another task has done it, from which this one is forked.
    """

    state: StepState
    agent: str | None = None
    tool: str | None = None
    team: str | None = None
    needs: tuple[str, ...] = ()
    attempts: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    output: Any = None
    error: str | None = None
    degraded: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    usage: Spent = Spent()
    taken_over: bool = False


class Undoing(_Part):
    """One entry of the ledger: the undo of a call, and how far it has come.

    Attributes:
        id: The path of the call, with its round.
        step: The step that made the call.
        compensation: The compensation that undoes the call.
        state: The state of the undo.
        attempts: How many times the undo was begun: once, and again whenever somebody says ``retry``.
        tries: How many times the compensation was called for it, retries included; None if that is not known,
            as it is not for an undo that has ended.
        error: Why it failed the last time.
        started: When it was first begun, in UTC.
        finished: When it ended, or got stuck, in UTC.
        depends_on: The entries that are undone only after this one.
    """

    id: str
    step: str
    compensation: str
    state: EntryState
    attempts: int = 0
    tries: int | None = None
    error: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    depends_on: tuple[str, ...] = ()


class Answered(_Part):
    """What one person has said to a question that several people have to answer.

    Attributes:
        by: The person.
        action: The answer.
        note: The reason that was given.
        proven: Whether it was verified that it is this person.
    """

    by: str
    action: str
    note: str = ""
    proven: bool = False


class Asked(_Part):
    """One question that a person must answer.

    Attributes:
        step: The step that asks.
        kind: The reason, in one word.
        ask: The question.
        actions: The possible answers.
        since: When it was asked, in UTC.
        update: The method that answers it: ``decide`` or ``resolve``.
        show: What the person should look at.
        hash: The hash of what is shown; an answer must name it. It is empty if no answer has to.
        people: How many different people have to give the same answer.
        roles: Sets of roles; whoever answers must be proven to have one of each.
        said: Who has answered so far, if several people have to.
        deadline: Until when an answer counts, in UTC; None for as long as it takes.
        default: The answer that counts after the deadline.
        entry: The id of the entry in the ledger, if an undo is stuck; it tells stuck undos of one step apart.
        task: The id of the child that takes the answer; None if the task itself takes it.
    """

    step: str
    kind: str
    ask: str
    actions: tuple[str, ...]
    since: datetime
    update: str
    show: Any = None
    hash: str = ""
    people: int = 1
    roles: tuple[tuple[str, ...], ...] = ()
    said: tuple[Answered, ...] = ()
    deadline: datetime | None = None
    default: str = ""
    entry: str | None = None
    task: str | None = None


class Decided(_Part):
    """One question that has been answered.

    Attributes:
        step: See `Asked`, as for all that is not explained here.
        action: The answer that counted.
        by: Who has given it, which is a claim; ``counterstep`` where nobody has answered in time.
        note: The reason that was given.
        at: When it counted, in UTC.
        value: What was given beside the answer, e.g. what was edited.
    """

    step: str
    kind: str
    ask: str
    since: datetime
    action: str
    by: str
    note: str
    at: datetime
    show: Any = None
    value: Any = None
    deadline: datetime | None = None
    default: str = ""


class Line(_Part):
    """One line of the log.

    Attributes:
        n: The number of the line; when the log grows long, its oldest lines are dropped.
        at: When it happened, in UTC.
        who: Who did it.
        what: What was done.
        step: The step that it was done to, or the path of the call that was undone; may be empty.
        why: The reason that was given.
    """

    n: int
    at: datetime
    who: str
    what: str
    step: str = ""
    why: str = ""


class Board(_Part):
    """The whole state of a task.

    Attributes:
        task: The task's name.
        task_id: Its workflow id.
        state: The state of the task.
        goal: What the task is for.
        steps: The steps by their ids.
        ledger: What has to be undone, oldest first.
        to_undo: The ids of the entries that a rollback has still to begin to undo, newest first.
        usage: What was spent on models.
        budget: The most that may be spent.
        waiting_for: The questions that people have to answer.
        decisions: The questions that were answered, oldest first.
        moves: What teams have decided, oldest first; ``counterstep decisions`` makes a data set of it.
        decided: What else was decided, oldest first: routes, retries, fallbacks, refusals and approvals, each
            with its reason and by whom.
        forked_from: Where it was forked from: `id` and `run_id` of the first task, `step`, and the paths
            of the `changes`; None for a task that was not.
        failure: The first failure.
        log: Who did what, oldest first.
        forced_end: ``terminated`` or ``timed_out`` if the server has ended the task without asking it.
        recovery: `workflow_id`, `state` and `undone` (steps) of the recovery that was started after the end;
            None if there is none.
        partial: Whether this is only what the server knows: no worker has told the rest, so what is empty
            here need not be empty.
        partial_because: Why no worker has told it.
    """

    task: str
    task_id: str
    state: TaskState
    goal: str = ""
    steps: Mapping[str, StepBoard] = {}
    ledger: tuple[Undoing, ...] = ()
    to_undo: tuple[str, ...] = ()
    usage: Spent = Spent()
    budget: Budget = Budget()
    waiting_for: tuple[Asked, ...] = ()
    decisions: tuple[Decided, ...] = ()
    moves: tuple[Mapping[str, Any], ...] = ()
    decided: tuple[Mapping[str, Any], ...] = ()
    forked_from: Mapping[str, Any] | None = None
    failure: Failure | None = None
    log: tuple[Line, ...] = ()
    forced_end: str | None = None
    recovery: Mapping[str, Any] | None = None
    partial: bool = False
    partial_because: str | None = None


async def last_board(handle: WorkflowHandle[Any, Any], end: BaseException | Any) -> Mapping[str, Any] | None:
    """Asks a task that has ended for its board, if its end does not tell what was undone.

    Args:
        handle: The handle of the task.
        end: Its result or error, from `end_of`.

    Returns:
        The board; None if it is not needed, if no worker answers, or if it cannot be decoded here.

    Raises:
        RPCError: The server does not answer.
    """
    if tells_all(end):
        return None
    with suppress(PayloadUnreadable):
        return await standing_board(handle, LAST_SECONDS)
    return None


async def standing_board(
    handle: WorkflowHandle[Any, Any], seconds: float = QUERY_SECONDS
) -> Mapping[str, Any] | None:
    """Asks a task for its board, and corrects the board of a task that was ended from outside.

    A task that was terminated or has timed out cannot record that, so its board stays as it was before.

    Args:
        handle: The handle of the task.
        seconds: How long to wait for the board.

    Returns:
        The board as `read_board` returns it.

    Raises:
        RPCError: The server does not answer, or does not know the task.
    """
    board = await read_board(handle, seconds)
    if board is None or board["state"] in ENDED:
        return board
    found = await handle.describe()
    if found.status is WorkflowExecutionStatus.RUNNING:
        return board
    # The task may have ended between the two questions.
    board = await read_board(handle, seconds)
    if board is None or board["state"] in ENDED:
        return board
    return _cut_off(board, found, await end_of(handle))


def _cut_off(board: Mapping[str, Any], found: WorkflowExecutionDescription, end: Any) -> Mapping[str, Any]:
    outcome = outcome_of(end, board, (found.id, found.run_id))
    closed = found.close_time.isoformat() if found.close_time else None
    interrupted = {"state": StepState.CANCELLED.value, "finished": closed, "error": _CUT_OFF}
    steps = {
        name: {**step, **interrupted} if step["state"] in UNDER_WAY else step
        for name, step in board.get("steps", {}).items()
    }
    kept = outcome.model_dump(mode="json", include=OF_THE_END)
    return {**board, **kept, "steps": steps, "waiting_for": []}
