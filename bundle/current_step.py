"""The step that the running tool, agent or compensation belongs to."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CurrentStep:
    """The call that is running.

    Attributes:
        idempotency_key: Identifies this call for ever; an undo has the key of the call that it undoes.
        task_id: The workflow id.
        step: The id of the step.
        attempt: 1 for the first attempt of this call.
    """

    idempotency_key: str
    task_id: str
    step: str
    attempt: int


CURRENT_STEP: ContextVar[CurrentStep] = ContextVar("counterstep_current_step")


def current_step() -> CurrentStep:
    """Returns the call that is running.

    Raises:
        RuntimeError: It was not called by a tool, agent or compensation that a task has called.
    """
    try:
        return CURRENT_STEP.get()
    except LookupError:
        raise RuntimeError("current_step() answers only inside a call made by a Counterstep task") from None
