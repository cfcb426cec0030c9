"""Finds a task, and sends it what a person has decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from temporalio.client import (
    Client,
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

from ..runtime.connection import has_workers
from .errors import NoAnswer, NoWorker, Refused, TaskEnded, UnknownTask

UPDATE_SECONDS: Final = 30.0
"""How long a task may take to accept an update, and then again to answer it."""

PAUSES: Final = (0.2, 0.4, 0.8)
"""How long a worker that is just starting may take until its queue knows it."""

# The errors of the SDK and the server when no handler of the task has answered.
_NO_HANDLER: Final = "expected but not found"
_OVERTAKEN: Final = "AcceptedUpdateCompletedWorkflow"


async def find_task(client: Client, id: str) -> tuple[WorkflowHandle[Any, Any], WorkflowExecutionDescription]:
    """Finds the newest run of a task.

    Args:
        client: A connected client.
        id: The workflow id.

    Returns:
        A handle that follows the newest run of the id, and the server's description of that run.

    Raises:
        UnknownTask: There is no such task.
        RPCError: The server does not answer.
    """
    handle = client.get_workflow_handle(id)
    try:
        return handle, await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise UnknownTask(f"There is no task {id!r} in the namespace {client.namespace!r}.") from None


async def ask_to_cancel(
    client: Client, handle: WorkflowHandle[Any, Any], found: WorkflowExecutionDescription
) -> bool:
    """Asks a task to cancel; it undoes what it did first.

    Args:
        client: A connected client.
        handle: The handle of the task.
        found: The server's description of it, from `find_task`.

    Returns:
        Whether it was asked; False if it has been cancelled already.

    Raises:
        TaskEnded: The task has ended, but not by a cancel.
        RPCError: The server does not answer.
    """
    if found.status is WorkflowExecutionStatus.CANCELED:
        return False
    if found.status is not WorkflowExecutionStatus.RUNNING:
        raise TaskEnded(f"{found.id} cannot be cancelled: it has ended already ({_how(found)}).")
    try:
        await handle.cancel()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return await ask_to_cancel(client, *await find_task(client, found.id))  # it has ended in between
    return True


async def send_update(
    client: Client,
    id: str,
    name: str,
    argument: Mapping[str, Any],
    *,
    seconds: float = UPDATE_SECONDS,
    update_id: str | None = None,
) -> Any:
    """Sends an update to a task and waits for its answer.

    Args:
        client: A connected client.
        id: The workflow id.
        name: The name of the update.
        argument: Its one argument as JSON.
        seconds: How long to wait for the task to accept it, and then again for the answer.
        update_id: By which the server knows the update, so that a repeat of it counts once.

    Returns:
        The answer as JSON.

    Raises:
        UnknownTask: There is no such task.
        TaskEnded: The task has ended.
        Refused: The task refuses the update.
        NoWorker: No worker runs the task, or none has answered in time (`NoAnswer`).
        RPCError: The server does not answer.
    """
    handle, found = await find_task(client, id)
    if found.status is not WorkflowExecutionStatus.RUNNING:
        raise _ended(found, name)
    queue = found.task_queue
    if not await _has_workers_soon(client, queue):
        raise NoWorker(f"No worker polls the queue {queue!r}, so nothing was sent.", queue)
    try:
        sent = await _until_accepted(handle, name, argument, seconds, update_id)
        if sent is None:
            message = (
                f"Nobody has accepted the `{name}` of {id} within {seconds:g} s: the workers of the queue "
                f"{queue!r} are gone, or too busy. A worker that starts now may still take it."
            )
            raise NoAnswer(message, queue)
        async with asyncio.timeout(seconds):
            return await sent.result()
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        message = (
            f"{id} has accepted the `{name}`, and it is kept, but it is not carried out after {seconds:g} s."
        )
        raise NoAnswer(message, queue, accepted=True) from None
    except WorkflowUpdateFailedError as error:
        raise _refusal(id, name, error.cause) from None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise _ended((await find_task(client, id))[1], name) from None


async def _has_workers_soon(client: Client, queue: str) -> bool:
    """Returns whether the queue has workers; one that is just starting may take a moment to be known."""
    for pause in PAUSES:
        if await has_workers(client, queue):
            return True
        await asyncio.sleep(pause)
    return await has_workers(client, queue)


async def _until_accepted(
    handle: WorkflowHandle[Any, Any],
    name: str,
    argument: Mapping[str, Any],
    seconds: float,
    update_id: str | None,
) -> WorkflowUpdateHandle[Any] | None:
    try:
        async with asyncio.timeout(seconds):
            return await handle.start_update(
                name, dict(argument), id=update_id, wait_for_stage=WorkflowUpdateStage.ACCEPTED
            )
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        return None


def _ended(found: WorkflowExecutionDescription, name: str) -> TaskEnded:
    return TaskEnded(f"{found.id} takes no `{name}` any more: it has ended ({_how(found)}).")


def _how(found: WorkflowExecutionDescription) -> str:
    return found.status.name.lower().replace("_", " ") if found.status else "?"


def _refusal(id: str, name: str, cause: BaseException) -> Refused | TaskEnded:
    message = cause.message if isinstance(cause, ApplicationError) else str(cause)
    type_ = cause.type if isinstance(cause, ApplicationError) and cause.type else type(cause).__name__
    if type_ == _OVERTAKEN:
        return TaskEnded(f"{id} has ended before it answered to `{name}`.")
    if _NO_HANDLER in message:
        message = f"{id} takes no `{name}`: it is a workflow without that update, or has only just begun."
        return Refused(message, "NoSuchUpdate")
    said = message.rstrip(". ")
    return Refused(f"Refused: {said}{'' if said.endswith('?') else '.'}", type_)
