"""Undoes a child workflow that did not come to an end of its own."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..saga.catalog import RECOVER_CHILD
from ..saga.recovered import RecoveryRequest, Refusal
from ..saga.undo import Undo
from ..saga.wire import RECOVER


@activity.defn(name=RECOVER_CHILD)
async def recover_child(undo: Any) -> Any:
    """Has a child recovered from its history, and waits for the end of that.

    Args:
        undo: An `Undo` as JSON; its input names the child as ``workflow_id``.

    Returns:
        ``undone``: the ids of the child's steps that are undone.

    Raises:
        ApplicationError: The child still runs, or its recovery has failed.
    """
    workflow_id = Undo[Any].model_validate(undo).input["workflow_id"]
    client = activity.client()
    try:
        child = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return {"undone": []}  # it was never started
        raise
    recovery = await _start(client, child)
    try:
        result = await recovery.result()
    except WorkflowFailureError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == Refusal.NOTHING_TO_UNDO:
            return {"undone": []}
        raise ApplicationError(f"{recovery.id} has failed: {cause}", type="RecoveryFailed") from error
    return {"undone": result["undone"]}


async def _start(client: Client, child: WorkflowExecutionDescription) -> WorkflowHandle[Any, Any]:
    request = RecoveryRequest(workflow_id=child.id, run_id=child.run_id)
    recovery_id = f"{child.id}/recover/{child.run_id}"
    try:
        return await client.start_workflow(
            RECOVER,
            request.model_dump(mode="json"),
            id=recovery_id,
            task_queue=child.task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle(recovery_id)
