"""Tells a running task what a person has decided, and what became of that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ..connection import connect, has_workers
from .failure import CommandFailed, ExitCode
from .lookup import find_task
from .target import Target

# What the SDK and the server say where no handler of the task has answered.
_NO_HANDLER: Final = "expected but not found"
_OVERTAKEN: Final = "AcceptedUpdateCompletedWorkflow"


async def send_update(
    target: Target, id: str, name: str, argument: Mapping[str, Any], *, seconds: float
) -> Any:
    """Sends an update to a task and waits for its answer.

    Args:
        target: The server.
        id: The workflow id.
        name: The update.
        argument: Its one argument, JSON.
        seconds: How long to wait for the task to accept it, and then again for its answer.

    Returns:
        The answer, JSON.

    Raises:
        CommandFailed: There is no such task, it has ended, it refuses, or nobody works on it.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await connect(target.config)
    handle, found = await find_task(client, id)
    if found.status is not WorkflowExecutionStatus.RUNNING:
        raise _ended(found, name)
    queue = found.task_queue
    if not await has_workers(client, queue):
        start = f"No worker polls the queue {queue!r}, so nothing was sent. Start one, then say it again:"
        raise _nobody(f"{start} {target.worker_command(queue)}")
    try:
        sent = await _until_accepted(handle, name, argument, seconds)
        return await _until_answered(sent, seconds)
    except _NotAccepted:
        raise _nobody(
            f"Nobody has accepted the `{name}` of {id} within {seconds:g} s: the workers of the queue "
            f"{queue!r} are gone, or too busy. A worker that starts now may still take it, so look at "
            f"`counterstep status {id}` before you say it again. Start one: {target.worker_command(queue)}"
        ) from None
    except _NotAnswered:
        raise _nobody(
            f"{id} has accepted the `{name}`, and it is kept, but it is not carried out after {seconds:g} s; "
            f"see `counterstep status {id}`."
        ) from None
    except WorkflowUpdateFailedError as error:
        raise _refusal(id, name, error.cause) from None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise _ended(await handle.describe(), name) from None


class _NotAccepted(Exception):
    pass


class _NotAnswered(Exception):
    pass


async def _until_accepted(
    handle: WorkflowHandle[Any, Any], name: str, argument: Mapping[str, Any], seconds: float
) -> WorkflowUpdateHandle[Any]:
    try:
        async with asyncio.timeout(seconds):
            return await handle.start_update(
                name, dict(argument), wait_for_stage=WorkflowUpdateStage.ACCEPTED
            )
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise _NotAccepted from None


async def _until_answered(sent: WorkflowUpdateHandle[Any], seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds):
            return await sent.result()
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise _NotAnswered from None


def _ended(found: WorkflowExecutionDescription, name: str) -> CommandFailed:
    how = found.status.name.lower().replace("_", " ") if found.status else "?"
    message = f"{found.id} takes no `{name}` any more: it has ended ({how})."
    return CommandFailed(message, type="TaskEnded")


def _nobody(message: str) -> CommandFailed:
    return CommandFailed(message, code=ExitCode.NO_SERVER, type="NoWorker")


def _refusal(id: str, name: str, cause: BaseException) -> CommandFailed:
    message = cause.message if isinstance(cause, ApplicationError) else str(cause)
    type_ = cause.type if isinstance(cause, ApplicationError) and cause.type else type(cause).__name__
    if type_ == _OVERTAKEN:
        return CommandFailed(f"{id} has ended before it answered to `{name}`.", type="TaskEnded")
    if _NO_HANDLER in message:
        message = f"{id} takes no `{name}`: it is a workflow without that update, or has only just begun."
        return CommandFailed(message, type="NoSuchUpdate")
    return CommandFailed(f"Refused: {message.rstrip('. ')}.", type=type_)
