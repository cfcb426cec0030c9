"""Finds out how a task ended."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowExecutionStatus

from ...client.board import last_board
from ...client.outcome import Outcome, end_of, left_running, outcome_of
from ...client.recovery import with_recovery
from ...client.updates import find_task
from ...saga.record.search_attributes import SAGA_STATE
from ...saga.record.task_state import TaskState
from ..arguments.server_target import ServerTarget
from ..terminal.output import say
from .server_outage import outlasting


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
        CommandFailed: The server has gone away while it was waited for, and has not come back.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering, and nothing was to be waited for.
    """
    client = await target.connect()
    if not wait:
        return await _find(client, target, id, wait=False)
    again = target.command("result", id, options=["--wait"])
    return await outlasting(client, target, again, lambda: _find(client, target, id, wait=True))


async def _find(client: Client, target: ServerTarget, id: str, *, wait: bool) -> tuple[Outcome, Any]:
    handle, found = await find_task(client, id)
    ids = (id, found.run_id)
    if found.status is WorkflowExecutionStatus.RUNNING and not wait:
        state = found.typed_search_attributes.get(SAGA_STATE) or TaskState.RUNNING.value
        say(f"{id} has not ended: it is {state.replace('_', ' ')}.")
        wait_for_it = target.command("result", id, options=["--wait"])
        say(f"`{target.command('watch', id)}` shows how it goes; `{wait_for_it}` waits.")
        return left_running({"state": state}, ids), None
    end = await end_of(handle)
    outcome = outcome_of(end, await last_board(handle, end), ids)
    return await with_recovery(client, outcome), end
