"""How a workflow tells the pool how well agents have done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from ..calls.caller import Caller
from ..history_format import NOTE_OUTCOMES
from .outcomes import JobOutcome, Outcomes


async def note_outcomes(caller: Caller, outcomes: Iterable[JobOutcome], activity_id: str) -> None:
    """Tells the pool how well agents have done, in one local activity; no failure of that is one of the task.

    Args:
        caller: Makes the calls of the task.
        outcomes: What is told; where it is nothing, nothing is called.
        activity_id: The id of the local activity.
    """
    told = Outcomes(outcomes=tuple(outcomes))
    if not told.outcomes:
        return
    names = ", ".join(dict.fromkeys(outcome.agent for outcome in told.outcomes))
    try:
        await caller.local(
            NOTE_OUTCOMES,
            told.model_dump(mode="json"),
            activity_id=activity_id,
            timeout=timedelta(seconds=10),
            summary=f"note how well {names} did",
        )
    except ActivityError as error:
        workflow.logger.warning("outcomes of %s are lost: %s", names, error.cause or error)
