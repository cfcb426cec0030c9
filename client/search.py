"""Finds workflows by Counterstep's search attributes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError

from ..observability.search_attribute_check import creation_command, tells_of_missing
from ..saga.errors import CounterstepError


class SearchAttributesMissing(CounterstepError):
    """The namespace does not have the search attributes by which tasks are found."""


async def search(client: Client, query: str, limit: int | None = None) -> AsyncIterator[WorkflowExecution]:
    """Finds workflows: first those that run, then the others sorted by their end.

    Args:
        client: A connected client.
        query: A list filter of Temporal's that names `SagaState`.
        limit: The largest number of workflows to find; None for all.

    Yields:
        The server's description of each workflow.

    Raises:
        SearchAttributesMissing: The namespace lacks Counterstep's search attributes.
        RPCError: The server does not answer, or does not understand the query.
    """
    try:
        async for found in client.list_workflows(query, limit=limit):
            yield found
    except RPCError as error:
        if tells_of_missing(error):
            message = (
                f"The namespace {client.namespace!r} has no search attributes of ours, by which tasks are "
                f"found. Create them, for the tasks to come: {creation_command(client.namespace)}"
            )
            raise SearchAttributesMissing(message) from None
        raise
