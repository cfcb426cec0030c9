"""The histories of the workflow that has called the running activity."""

from __future__ import annotations

from collections.abc import AsyncIterator

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ...histories.payload_reader import PayloadReader
from ...histories.run_chain import find_chain, read_run
from ...histories.run_history import RunHistory
from ...saga.recovery.request import NotRecoverable


async def own_histories(reader: PayloadReader) -> AsyncIterator[RunHistory]:
    """Yields those of all its runs, and of its recoveries, decoded.

    Args:
        reader: Decodes them.

    Raises:
        ApplicationError: The server does not know the workflow.
    """
    info, client = activity.info(), activity.client()
    try:
        chain = await find_chain(client, info.workflow_id or "", info.workflow_run_id)
    except NotRecoverable as refusal:
        raise ApplicationError(str(refusal), type=refusal.type) from None
    for run in (*chain.runs, *chain.recoveries):
        history = await read_run(client, run, activity.heartbeat)
        await reader.decode(history)
        yield history
