"""Finds all tasks of a namespace that have left something behind, and starts their recoveries."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from ...client.first_traces import has_begun
from ...client.search import search
from ...histories.run_chain import RunChain, find_chain
from ...saga.history_format import RECOVER
from ...saga.record.search_attributes import SAGA_STATE
from ...saga.record.task_state import TaskState
from ...saga.recovery.recovery_id import RecoveryId
from ...saga.recovery.request import NotRecoverable
from ..arguments.server_target import ServerTarget
from ..errors import CommandFailed
from ..terminal.output import printable, say
from .recover_task import examine, start_recovery

UNFINISHED: Final = (
    TaskState.RUNNING,
    TaskState.WAITING,
    TaskState.COMPENSATING,
    TaskState.NEEDS_ATTENTION,
)
"""States in which no task ends by itself: it says first how it has ended."""

SOON: Final = timedelta(days=1)
"""A history that the server deletes within this time is marked."""

_WIDTH: Final = 160


class SweepRow(BaseModel):
    """One task that was ended by force.

    Attributes:
        workflow_id: The task.
        run_id: The newest of its runs.
        ended: How it ended.
        closed: When it ended.
        left: The steps that are left to undo, newest first; empty if the task is left alone.
        why: Why the task is left alone; empty if it is not.
        recovery_id: The recovery that was started for it, or None.
        deleted: When the server deletes the first of its runs; None if that is unknown.
        soon: Whether that is within a day.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    run_id: str
    ended: str
    closed: datetime | None
    left: tuple[str, ...] = ()
    why: str = ""
    recovery_id: str | None = None
    deleted: datetime | None = None
    soon: bool = False


async def sweep_namespace(target: ServerTarget, older_than: timedelta | None, *, act: bool) -> list[SweepRow]:
    """Finds the tasks and, if asked to, starts their recoveries.

    Args:
        target: The server.
        older_than: How long ago a task must have ended at least; None for any time.
        act: Whether to start the recoveries; otherwise the tasks are only shown.

    Returns:
        One row for each task, beginning with the one that ended first; none for tasks whose recovery has
        completed.

    Raises:
        SearchAttributesMissing: The namespace lacks Counterstep's search attributes.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    retention = await _retention(client)
    rows: dict[tuple[str, str], SweepRow] = {}
    async for workflow_id, run_id in _forced_ends(client, older_than):
        try:
            chain = await find_chain(client, workflow_id, run_id)
        except NotRecoverable:
            continue  # its history is gone
        key = (workflow_id, chain.newest.run_id)
        if key in rows or chain.recovered or not await has_begun(client, workflow_id, run_id):
            continue
        rows[key] = await _judged(client, chain, _row(chain, retention), act=act)
    return sorted(rows.values(), key=lambda row: str(row.closed))


def print_rows(rows: Sequence[SweepRow]) -> None:
    """Prints for people what was found."""
    if not rows:
        say("No task was ended by force before everything was undone.")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("task and run", no_wrap=True)  # to be copied
    for heading in ("ended", "left to undo", "history is deleted"):
        table.add_column(heading)
    for row in rows:
        what = ", ".join(row.left) if row.left else f"left alone: {row.why}"
        if row.recovery_id is not None:
            what += " (recovery started)"
        deleted = _minute(row.deleted)
        table.add_row(
            Text(f"{printable(row.workflow_id)}\n{row.run_id}"),
            Text(f"{row.ended}\n{_minute(row.closed)}"),
            Text(printable(what), style="red" if row.left else "dim"),
            Text(f"{deleted}\nSOON" if row.soon else deleted, style="yellow" if row.soon else ""),
        )
    Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH).print(table)


def expiry(
    closed: datetime | None, retention: timedelta | None, now: datetime
) -> tuple[datetime | None, bool]:
    """Returns when the server deletes a run, and whether that is soon."""
    if closed is None or not retention:
        return None, False
    deleted = closed + retention
    return deleted, deleted - now <= SOON


async def _forced_ends(client: Client, older_than: timedelta | None) -> AsyncIterator[tuple[str, str]]:
    """Finds runs that ended in a state in which no task ends by itself; a recovery stands for its task."""
    states = ", ".join(f'"{state.value}"' for state in UNFINISHED)
    query = f'{SAGA_STATE.name} IN ({states}) AND ExecutionStatus IN ("Terminated", "TimedOut", "Failed")'
    if older_than is not None:
        query += f' AND CloseTime <= "{(datetime.now(UTC) - older_than).isoformat()}"'
    async for found in search(client, query):
        if found.workflow_type != RECOVER:
            yield found.id, found.run_id
            continue
        recovered = RecoveryId.parse(found.id)
        yield recovered.workflow_id, recovered.run_id


async def _judged(client: Client, chain: RunChain, row: SweepRow, *, act: bool) -> SweepRow:
    try:
        left = await examine(client, chain)
    except NotRecoverable as refusal:
        return row.model_copy(update={"why": str(refusal)})
    steps = dict.fromkeys([*(item.step for item in left.entries), *left.unread])
    row = row.model_copy(update={"left": tuple(steps)})
    if not act:
        return row
    try:
        handle = await start_recovery(client, chain, chain.newest.task_queue)
    except CommandFailed as failure:
        return row.model_copy(update={"left": (), "why": str(failure)})
    return row.model_copy(update={"recovery_id": handle.id})


def _row(chain: RunChain, retention: timedelta | None) -> SweepRow:
    newest = chain.newest
    first = min((run.closed for run in chain.runs if run.closed is not None), default=None)
    deleted, soon = expiry(first, retention, datetime.now(UTC))
    return SweepRow(
        workflow_id=newest.workflow_id,
        run_id=newest.run_id,
        ended=newest.status.name.lower().replace("_", " "),
        closed=newest.closed,
        deleted=deleted,
        soon=soon,
    )


async def _retention(client: Client) -> timedelta | None:
    """Returns how long the server keeps what has ended; None if it does not say."""
    try:
        found = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace), retry=True
        )
    except RPCError as error:
        if error.status is RPCStatusCode.PERMISSION_DENIED:
            return None
        raise
    return found.config.workflow_execution_retention_ttl.ToTimedelta()


def _minute(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"
