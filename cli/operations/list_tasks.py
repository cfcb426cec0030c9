"""Lists the tasks of a namespace by their search attributes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from ...client.first_traces import has_begun
from ...client.recovery import recovery_of
from ...client.search import search
from ...saga.record.search_attributes import SAGA_COST, SAGA_STATE, SAGA_STEP, SAGA_TASK
from ...saga.record.task_state import ENDED, TaskState
from ..arguments.server_target import ServerTarget
from ..terminal.live_board import state_text
from ..terminal.output import printable, say

_STATUS = "ExecutionStatus"
_WIDTH = 160
_OPEN = "running"
_ONLY_OF_TASKS = (
    WorkflowExecutionStatus.RUNNING,
    WorkflowExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.CANCELED,
)
_ORDERLY = ("completed", "failed", "canceled", _OPEN)


class TaskRow(BaseModel):
    """One task.

    Attributes:
        workflow_id: The task.
        run_id: Its run.
        task: Its name.
        state: Its state; `rollback_incomplete` for a task that was ended by force.
        status: Temporal's status of the run, e.g. ``running`` or ``terminated``.
        step: The step that failed or waits; may be empty.
        usd: What it has spent; None if it has not reported that.
        started: When it started, in UTC.
        closed: When it ended, in UTC; None while it runs.
        recovery: The state of the recovery that was started after a forced end; None if there is none.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    run_id: str
    task: str
    state: str
    status: str
    step: str
    usd: float | None
    started: datetime
    closed: datetime | None
    recovery: str | None = None


async def list_rows(
    target: ServerTarget, *, states: Sequence[str], task: str | None, query: str | None, limit: int
) -> tuple[list[TaskRow], bool]:
    """Finds tasks.

    Args:
        target: The server.
        states: Only tasks in these states; an empty list means all states.
        task: Only tasks of this name.
        query: Only tasks that match this filter as well.
        limit: The largest number of tasks to return.

    Returns:
        The tasks, beginning with those that run, and whether there are more.

    Raises:
        SearchAttributesMissing: The namespace lacks Counterstep's search attributes.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering, or does not understand the query.
    """
    client = await target.connect()
    rows: list[TaskRow] = []
    async for found in search(client, filter_of(states, task, query)):
        if found.status not in _ONLY_OF_TASKS and not await _stands_for_task(client, found):
            continue
        row = _row(found)
        if row.state == TaskState.ROLLBACK_INCOMPLETE:
            recovery = await recovery_of(client, row.workflow_id, row.run_id)
            row = row.model_copy(update={"recovery": recovery and recovery["state"]})
        rows.append(row)
        if len(rows) > limit:
            break
    return rows[:limit], len(rows) > limit


def filter_of(states: Sequence[str], task: str | None, query: str | None) -> str:
    """Returns the list filter of Temporal's that finds the wanted tasks.

    `SagaState` keeps its last value where the server ends a run by force, so it tells the state together with
    the run's status only. A run that was continued by another one stands for no task.
    """
    parts = [
        f"({' OR '.join(map(_in_state, states))})" if states else f"{SAGA_STATE.name} IS NOT NULL",
        f"{_STATUS} != {_quoted('ContinuedAsNew')}",
    ]
    if task is not None:
        parts.append(f"{SAGA_TASK.name} = {_quoted(task)}")
    if query is not None:
        parts.append(f"({query})")
    return " AND ".join(parts)


def _in_state(state: str) -> str:
    is_in = f"{SAGA_STATE.name} = {_quoted(state)}"
    if state not in ENDED:
        return f"({is_in} AND {_STATUS} = {_quoted('Running')})"
    if state != TaskState.ROLLBACK_INCOMPLETE:
        return is_in
    cut_off = ", ".join(_quoted(open_) for open_ in TaskState if open_ not in ENDED)
    by_force = ", ".join(map(_quoted, ("Terminated", "TimedOut", "Failed")))
    return f"({is_in} OR ({SAGA_STATE.name} IN ({cut_off}) AND {_STATUS} IN ({by_force})))"


def print_rows(rows: Sequence[TaskRow], *, more: bool) -> None:
    """Prints tasks for people."""
    if not rows:
        say("No such task.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)  # to be copied
    for heading in ("name", "state", "step", "started"):
        table.add_column(heading)
    table.add_column("cost", justify="right")
    for row in rows:
        state = state_text(row.state)
        if row.status not in _ORDERLY:
            state.append(f", {row.status.replace('_', ' ')}", style="red")
        if row.recovery is not None:
            done = row.recovery == TaskState.COMPLETED
            state.append(", undone since" if done else f", recovery {row.recovery.replace('_', ' ')}")
        cost = "" if row.usd is None else f"${row.usd:.4f}"
        started = f"{row.started:%Y-%m-%d %H:%M:%S}"
        names = (Text(printable(name)) for name in (row.workflow_id, row.task))
        table.add_row(*names, state, Text(printable(row.step)), started, cost)
    Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH).print(table)
    if more:
        say(f"There are more; --limit shows them (it is {len(rows)}).")


def _row(found: WorkflowExecution) -> TaskRow:
    attributes = found.typed_search_attributes
    return TaskRow(
        workflow_id=found.id,
        run_id=found.run_id,
        task=attributes.get(SAGA_TASK) or found.workflow_type,
        state=_state(found),
        status=found.status.name.lower() if found.status else "",
        step=attributes.get(SAGA_STEP) or "",
        usd=attributes.get(SAGA_COST),
        started=found.start_time,
        closed=found.close_time,
    )


def _state(found: WorkflowExecution) -> str:
    """Returns the state of a task; one that the server has ended by force could not write it."""
    state = found.typed_search_attributes.get(SAGA_STATE) or ""
    if state in ENDED or found.status is WorkflowExecutionStatus.RUNNING:
        return state
    return {
        WorkflowExecutionStatus.COMPLETED: TaskState.COMPLETED,
        WorkflowExecutionStatus.CANCELED: TaskState.CANCELLED,
    }.get(found.status or WorkflowExecutionStatus.FAILED, TaskState.ROLLBACK_INCOMPLETE).value


async def _stands_for_task(client: Client, found: WorkflowExecution) -> bool:
    """Says whether a task has ended with a run: it had begun, and does not go on in a run after a reset."""
    has_told = found.typed_search_attributes.get(SAGA_STATE) in ENDED
    if not has_told and not await has_begun(client, found.id, found.run_id):
        return False
    if found.status is not WorkflowExecutionStatus.TERMINATED:
        return True
    described = await client.get_workflow_handle(found.id, run_id=found.run_id).describe()
    return not described.raw_description.workflow_extended_info.reset_run_id


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
