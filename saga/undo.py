"""What a compensation is told."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

OutputT = TypeVar("OutputT")


class Undo(BaseModel, Generic[OutputT]):
    """The forward call that a compensation takes back.

    A compensation must succeed as a no-op when there is nothing to undo, and when it is called twice.

    Attributes:
        input: The forward call's arguments, by name.
        output: Its result, or None when it is unknown whether it happened: look it up by the key.
        before: What the `before` call read, or None where the tool has none.
        idempotency_key: The forward call's key.
        reason: Why the task is undone, one sentence.
        step: The id of the step.
        task_id: The workflow id.
    """

    model_config = ConfigDict(frozen=True)

    input: dict[str, Any]
    output: OutputT | None = None
    before: Any = None
    idempotency_key: str
    reason: str
    step: str
    task_id: str


class Retraction(BaseModel):
    """What `counterstep.retract` answers: an agent's output has left the task's shared context.

    Attributes:
        step: The step whose output was withdrawn.
        reason: Why.
        withdrawn: False where the agent had put nothing there yet.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    reason: str
    withdrawn: bool
