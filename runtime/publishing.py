"""Publishes an event through a client, once for each key."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from ..saga.errors import CounterstepError, FailureType
from ..saga.events.publication import Publication, digest_of
from ..saga.events.start_rule import publication_id
from ..saga.history_format import PUBLISH


class EventRefused(CounterstepError):
    """The workers do not take an event.

    Attributes:
        type: The kind of refusal, one of `FailureType`.
    """

    def __init__(self, message: str, type: str) -> None:
        """Describes a refusal.

        Args:
            message: The reason.
            type: The kind of refusal.
        """
        super().__init__(message)
        self.type = type


async def publish_event(
    client: Client, topic: str, key: str, payload: Any, *, task_queue: str
) -> Publication:
    """Publishes an event and waits until the workers have said what it starts.

    Only an event that was refused can be published anew, e.g. once the rule that it lacked is there.

    Args:
        client: A connected client.
        topic: Its topic.
        key: Its key.
        payload: Its payload as JSON.
        task_queue: The queue of the workers.

    Returns:
        What it has started, now or before.

    Raises:
        EventRefused: The workers refuse it, or another event was published under the key.
        RPCError: The server does not answer.
    """
    id = publication_id(topic, key)
    try:
        handle = await client.start_workflow(
            PUBLISH,
            {"topic": topic, "key": key, "payload": payload},
            id=id,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            static_summary=f"the event {key} of {topic}"[:200],
        )
    except WorkflowAlreadyStartedError:
        handle = client.get_workflow_handle(id)
    try:
        found = Publication.model_validate(await handle.result())
    except WorkflowFailureError as error:
        cause = error.cause
        message = cause.message if isinstance(cause, ApplicationError) else f"{type(cause).__name__}: {cause}"
        kind = cause.type if isinstance(cause, ApplicationError) else None
        raise EventRefused(message, kind or type(cause).__name__) from None
    if found.digest != digest_of(payload):
        message = (
            f"another event of {topic!r} was published under the key {key!r}, with another payload; "
            "an event has a key of its own"
        )
        raise EventRefused(message, FailureType.INVALID_INPUT)
    return found
