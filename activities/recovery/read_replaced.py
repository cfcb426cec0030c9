"""Reads for a workflow that was reset what stands of the runs that it replaces."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from ...histories.outstanding import left_behind
from ...histories.payload_reader import PayloadReader
from ...histories.recorded_effect import effects_of
from ...saga.calls.replaced_runs import ReplacedEffects
from ...saga.history_format import READ_REPLACED
from .own_histories import own_histories
from .page import newest_of


@activity.defn(name=READ_REPLACED)
async def read_replaced() -> Any:
    """Reads the histories of all runs of the workflow that asks, and of its recoveries.

    Returns:
        `ReplacedEffects` as JSON: the newest effects that stand, and that the asking run has not made itself.

    Raises:
        ApplicationError: The server does not know the workflow.
    """
    info, client = activity.info(), activity.client()
    reader = PayloadReader(client.data_converter, client.namespace, strict=True)
    histories = [history async for history in own_histories(reader)]
    resolved = {history.run_id: await reader.resolved(history) for history in histories}
    (asking,) = (history for history in histories if history.run_id == info.workflow_run_id)
    own = {effect.key for effect in effects_of(asking, whole=True) if not effect.changed_nothing()}
    stands = [item for item in left_behind(histories, resolved).entries if item.newest.key not in own]
    entries, more = await newest_of(stands, reader)
    passed = left_behind([history for history in histories if history is not asking], resolved).pivots
    pivot = next((pivot.step or "an earlier run" for pivot in passed), "")
    return ReplacedEffects(entries=entries, more=more, pivot=pivot).model_dump(mode="json")
