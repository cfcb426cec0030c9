"""Reads from histories what a task has left behind."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from ...histories.outstanding import Outstanding
from ...histories.payload_reader import PayloadReader
from ...histories.run_chain import find_chain, judge
from ...histories.run_history import RunHistory
from ...saga.history_format import READ_OUTSTANDING
from ...saga.recovery.request import NotRecoverable, RecoveryPage, RecoveryRequest, Refusal
from .page import newest_of


@activity.defn(name=READ_OUTSTANDING)
async def read_outstanding(request: Any) -> Any:
    """Reads the histories of a task with the worker's own client and its data converter.

    Args:
        request: A `RecoveryRequest` as JSON.

    Returns:
        A `RecoveryPage` as JSON: the newest effects that are not undone, at most about 0.9 MB of them.

    Raises:
        ApplicationError: The task may not be recovered.
    """
    asked = RecoveryRequest.model_validate(request)
    client = activity.client()
    reader = PayloadReader(client.data_converter, client.namespace, strict=True)
    try:
        chain = await find_chain(client, asked.workflow_id, asked.run_id, as_child=asked.as_child)
        chain.refuse(within=activity.info().workflow_id or "", as_child=asked.as_child)
        if chain.newest.run_id != asked.run_id:
            message = f"{asked.workflow_id} has gone on since, in the run {chain.newest.run_id}."
            raise NotRecoverable(Refusal.RUN_SUPERSEDED, message)
        newest, left = await judge(
            client,
            chain,
            reader,
            not_applied=asked.not_applied,
            as_child=asked.as_child,
            alive=activity.heartbeat,
        )
    except NotRecoverable as refusal:
        raise ApplicationError(str(refusal), type=refusal.type, non_retryable=True) from None
    return (await _page(newest, left, reader)).model_dump(mode="json")


async def _page(newest: RunHistory, left: Outstanding, reader: PayloadReader) -> RecoveryPage:
    entries, more = await newest_of(left.entries, reader)
    return RecoveryPage(
        task=newest.task,
        ending=newest.ending,
        sequential=await reader.is_sequential(newest),
        entries=entries,
        more=more,
        left_alone=tuple(dict.fromkeys(item.step for item in left.skipped)),
    )
