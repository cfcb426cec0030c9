"""Brings an event to the join that waits for it, and starts the join where there is none yet."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from temporalio import activity
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..saga.errors import FailureType
from ..saga.events.publication import JoinAnswer, JoinRequest
from ..saga.events.start_rule import join_id
from ..saga.history_format import DELIVER_EVENT, JOIN

_OVERTAKEN = "AcceptedUpdateCompletedWorkflow"


@activity.defn(name=DELIVER_EVENT)
async def deliver_event(told: Any) -> Any:
    """Brings an event to its join; repeated, the join answers as it did the first time.

    Args:
        told: A `JoinRequest` as JSON.

    Returns:
        A `JoinAnswer` as JSON. Where the join has ended, that is how it ended.

    Raises:
        ApplicationError: The join refuses the event, or was ended by force.
    """
    request = JoinRequest.model_validate(told)
    info, client = activity.info(), activity.client()
    id = join_id(request.rule.name, request.key)
    starting = WithStartWorkflowOperation[Any, Any](
        JOIN,
        {"rule": request.rule.model_dump(mode="json"), "key": request.key},
        id=id,
        task_queue=info.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        static_summary=f"{request.rule.task}, once {' and '.join(request.rule.topics)} are there"[:200],
    )
    try:
        return await client.execute_update_with_start_workflow(
            "arrive",
            request.arrival.model_dump(mode="json"),
            start_workflow_operation=starting,
            id=info.workflow_run_id,
        )
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        if not isinstance(cause, ApplicationError):
            raise
        if cause.type != _OVERTAKEN:
            raise ApplicationError(cause.message, type=cause.type, non_retryable=True) from None
    except WorkflowAlreadyStartedError:
        with suppress(WorkflowAlreadyStartedError):
            await starting.workflow_handle()  # else the SDK complains that nobody has read it
    except RPCError as error:
        if error.status not in (RPCStatusCode.ALREADY_EXISTS, RPCStatusCode.NOT_FOUND):
            raise
    try:
        ended = await client.get_workflow_handle(id).result()
    except WorkflowFailureError as error:
        message = f"the join {id} takes no more events: {error.cause}"
        raise ApplicationError(message, type=FailureType.REFUSED, non_retryable=True) from None
    return JoinAnswer.model_validate({**ended, "is_new": False}).model_dump(mode="json")
