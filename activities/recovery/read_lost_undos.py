"""Reads for a workflow that was reset which undos have finished in the runs that it replaces."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from ...histories.payload_reader import PayloadReader
from ...histories.recorded_effect import effects_of
from ...histories.run_history import RunHistory
from ...saga.calls.reset_gate import LostUndo
from ...saga.history_format import READ_LOST_UNDOS
from .own_histories import own_histories


@activity.defn(name=READ_LOST_UNDOS)
async def read_lost_undos() -> Any:
    """Reads the histories of all runs of the workflow that asks, and of its recoveries.

    Returns:
        A list of `LostUndo` as JSON: the undos that have finished, or were done by hand, and that the asking
        run does not know of.

    Raises:
        ApplicationError: The server does not know the workflow.
    """
    info, client = activity.info(), activity.client()
    reader = PayloadReader(client.data_converter, client.namespace, strict=True)
    known: set[str] = set()
    lost: dict[str, LostUndo] = {}
    async for history in own_histories(reader):
        finished = await _finished(history, reader)
        if history.run_id == info.workflow_run_id:
            known = finished.keys() | {
                effect.key for effect in effects_of(history, whole=True) if effect.is_undone
            }
        else:
            lost |= finished
    return [undo.model_dump(mode="json") for key, undo in lost.items() if key not in known]


async def _finished(history: RunHistory, reader: PayloadReader) -> dict[str, LostUndo]:
    by_hand = [word.undos for word in await reader.resolved(history) if word.action == "done"]
    done = frozenset().union(*by_hand)
    return {
        undo.header.key: LostUndo(id=undo.forward_id, key=undo.header.key, step=undo.step)
        for undo in history.undos
        if undo.succeeded or undo.forward_id in done
    }
