"""Starts the task of a rule, which is never started a second time for the same key."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

from ..failure import trim
from .chain import leading_on
from .publication import TaskStart
from .start_rule import StartRule, task_id


async def start_task(rule: StartRule, key: str, task_input: Any, chain: tuple[str, ...]) -> TaskStart:
    """Starts the task of a rule as a child that outlives its parent.

    The server keeps both promises, whatever is killed: that the child is started, since the command is in
    history, and that its id is used once.

    Args:
        rule: The rule.
        key: What the events are about.
        task_input: The input of the task.
        chain: The topics of the events that have led to it.

    Returns:
        The task; it may have been started before.
    """
    id = task_id(rule.name, key)
    is_new = True
    with leading_on(chain):
        try:
            await workflow.start_child_workflow(
                rule.task,
                task_input,
                id=id,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=trim(f"{rule.task}, started by {' and '.join(rule.topics)}", 190),
            )
        except WorkflowAlreadyStartedError:
            is_new = False
    return TaskStart(rule=rule.name, task=rule.task, id=id, is_new=is_new)


def refusal_of(error: ActivityError | ApplicationError) -> ApplicationError:
    """Returns what the workflow fails with whose activity has refused an event, or did not come to an end."""
    cause = error.cause if isinstance(error, ActivityError) else error
    if not isinstance(cause, ApplicationError):
        return ApplicationError(trim(str(cause or error)), type="ActivityError", non_retryable=True)
    return ApplicationError(cause.message, *cause.details, type=cause.type, non_retryable=True)
