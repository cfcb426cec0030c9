"""Undoes a child workflow that has not handed its ledger to its parent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..saga.history_format import RECOVER, RECOVER_CHILD
from ..saga.recovery.recovery_id import RecoveryId
from ..saga.recovery.request import RecoveryRequest, Refusal
from ..saga.undo import Undo

_FOR_GOOD: Final = (Refusal.PIVOT_PASSED, Refusal.PIVOT_UNKNOWN)
"""What no further attempt can change: a person has to decide."""

_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0


@activity.defn(name=RECOVER_CHILD)
async def recover_child(undo: Any) -> Any:
    """Has a child recovered from its history, and waits until that has ended.

    A child that still runs is asked to cancel, as the end of its parent has done before, and is waited for
    as long as this activity may take. How it ends does not matter: what is undone already is left alone, and
    what a completed child did is undone as well, because no parent has taken it over.

    Args:
        undo: An `Undo` as JSON. Its input names the child as ``workflow_id``, and may say with ``is_started``
            that it is unknown whether the child was started.

    Returns:
        ``undone``: the ids of the child's steps that this has undone.

    Raises:
        ApplicationError: The child's history is gone (``ChildLost``), or its recovery has failed or was
            refused (``RecoveryFailed``), e.g. because the child has passed its pivot.
    """
    given = Undo[Any].model_validate(undo).input
    client = activity.client()
    try:
        child = await _ended(client.get_workflow_handle(given["workflow_id"]))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        if not given.get("is_started", True):
            return {"undone": []}
        message = f"the server does not know {given['workflow_id']} any more; look what it has left behind"
        raise ApplicationError(message, type="ChildLost") from None
    recovery = await _start(client, child)
    try:
        result = await recovery.result()
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == Refusal.NOT_A_TASK:
            return {"undone": []}  # it has no saga, or was ended before its first call
        raise ApplicationError(
            f"{recovery.id} has failed: {cause}",
            type="RecoveryFailed",
            non_retryable=isinstance(cause, ApplicationError) and cause.type in _FOR_GOOD,
        ) from error
    return {"undone": result["undone"]}


async def _ended(handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionDescription:
    """Waits until a child has ended, and returns its newest run."""
    child = await handle.describe()
    if child.status is WorkflowExecutionStatus.RUNNING:
        with suppress(RPCError):  # it has ended meanwhile; whatever else it is, the next call meets it too
            await handle.cancel()
    pause = _PAUSE
    while child.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
        child = await handle.describe()
    return child


async def _start(client: Client, child: WorkflowExecutionDescription) -> WorkflowHandle[Any, Any]:
    request = RecoveryRequest(workflow_id=child.id, run_id=child.run_id, as_child=True)
    recovery_id = str(RecoveryId(child.id, child.run_id))
    try:
        return await client.start_workflow(
            RECOVER,
            request.model_dump(mode="json"),
            id=recovery_id,
            task_queue=child.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            static_summary=f"undo what {child.id} has left behind"[:200],
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle(recovery_id)
