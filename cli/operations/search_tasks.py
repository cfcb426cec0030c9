"""Finds workflows by Counterstep's search attributes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from ...observability.search_attribute_check import creation_command
from ..errors import CommandFailed


async def search(client: Client, query: str, limit: int | None = None) -> AsyncIterator[WorkflowExecution]:
    """Finds workflows: those that run, then the others by their end.

    Args:
        client: Connected.
        query: In Temporal's list filter; it names `SagaState`.
        limit: At most so many; None for all.

    Yields:
        What the server says of each.

    Raises:
        CommandFailed: The namespace has no search attributes of ours.
        RPCError: The server does not answer, or does not understand the query.
    """
    try:
        async for found in client.list_workflows(query, limit=limit):
            yield found
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT and "Saga" in error.message:
            message = (
                f"The namespace {client.namespace!r} has no search attributes of ours, by which tasks are "
                f"found. Create them, for the tasks to come: {creation_command(client.namespace)}"
            )
            raise CommandFailed(message, type="SearchAttributesMissing") from None
        raise
