"""Finds out how a task ended."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError

from ...client.board import last_board
from ...client.outcome import Outcome, end_of, left_running, outcome_of
from ...client.recovery import with_recovery
from ...client.updates import find_task
from ...runtime.connection import AWAY
from ...saga.record.search_attributes import SAGA_STATE
from ...saga.record.task_state import TaskState
from ..arguments.server_target import ServerTarget
from ..terminal.output import say
from .server_outage import until_back


async def find_result(target: ServerTarget, id: str, *, wait: bool) -> tuple[Outcome, Any]:
    """Finds out how a task ended.

    Args:
        target: The server.
        id: The workflow id.
        wait: Whether to wait for the end.

    Returns:
        The outcome, and the task's result or the error that ended it; None if it has not ended.

    Raises:
        UnknownTask: There is no such task.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    handle, found = await find_task(client, id)
    ids = (id, found.run_id)
    if found.status is WorkflowExecutionStatus.RUNNING and not wait:
        state = found.typed_search_attributes.get(SAGA_STATE) or TaskState.RUNNING.value
        say(f"{id} has not ended: it is {state.replace('_', ' ')}.")
        wait_for_it = target.command("result", id, options=["--wait"])
        say(f"`{target.command('watch', id)}` shows how it goes; `{wait_for_it}` waits.")
        return left_running({"state": state}, ids), None
    end = await _end_of(client, target, handle) if wait else await end_of(handle)
    outcome = outcome_of(end, await last_board(handle, end), ids)
    return await with_recovery(client, outcome), end


async def _end_of(client: Client, target: ServerTarget, handle: WorkflowHandle[Any, Any]) -> Any:
    """Waits for the end of a task, even while the server is away for a time."""
    while True:
        try:
            return await end_of(handle)
        except RPCError as error:
            if error.status not in AWAY:
                raise
        again = target.command("result", handle.id, options=["--wait"])
        await until_back(client, target, again, asyncio.get_running_loop().create_future())
