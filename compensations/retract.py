"""Withdraws an agent's answer."""

from __future__ import annotations

from typing import Any

from temporalio import activity

from ..saga.history_format import RETRACT
from ..saga.undo import Retraction, Undo


@activity.defn(name=RETRACT)
async def retract(undo: Any) -> Any:
    """Withdraws what an agent put into the task's shared context.

    That context is the outputs of the steps. The engine removes the step's output once this activity has
    answered, and the answer in the history is the evidence for it.

    Args:
        undo: An `Undo` as JSON.

    Returns:
        A `Retraction` as JSON.
    """
    call = Undo[Any].model_validate(undo)
    retraction = Retraction(step=call.step, reason=call.reason, withdrawn=call.output is not None)
    return retraction.model_dump(mode="json")
