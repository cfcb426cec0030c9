"""What a completed task returns."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class TaskResult(BaseModel):
    """What a completed task returns.

    Attributes:
        task: The task's name.
        state: ``completed``.
        output: What the spec's `output` gave, or each step's output by id.
        undone: Steps that were undone on the way (skipped, or done by a fallback).
        not_undone: Steps that were to be undone on the way, and somebody has chosen to leave an effect.
        usage: What was spent on models.
        degraded: By step, why its output is less than what was meant: only what there was at a limit, or made
            by something that stood in after a failure; absent where all are whole.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    state: str
    output: Any
    undone: list[str]
    not_undone: list[str]
    usage: dict[str, Any]
    degraded: dict[str, str] = Field(default={}, exclude_if=lambda steps: not steps)
