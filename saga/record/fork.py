"""What a task begins with that is forked from another one: what that had finished, taken over as facts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ..spec.catalog import AgentChange
from ..spec.snapshot import SnapshotRequest
from .step_record import DONE, StepRecord


class Lineage(BaseModel):
    """Where a fork comes from.

    Attributes:
        id: The workflow id of the first task.
        run_id: Its run that was read.
        step: The step before which it was forked, with the number of its start where there were several.
        changes: The paths of what was changed.
        agents: What was changed of agents, by their names; a fork of the fork keeps it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    run_id: str
    step: str
    changes: tuple[str, ...] = ()
    agents: dict[str, AgentChange] = Field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Returns what the board shows; the prompts of agents may be long."""
        return self.model_dump(mode="json", exclude={"agents"})


class Fork(BaseModel):
    """What the first task knew when it was about to start a step.

    Its ledger is not here: the undos of what it did stay with it.

    Attributes:
        task: Its name.
        source: Where all this comes from.
        steps: The steps that it had finished, those inside of groups included.
        facts: What people had told it.
        events: What had happened outside, and was not used up.
        feedback: What its steps were told of the attempts before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    source: Lineage
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    events: list[dict[str, Any]] = Field(default_factory=list)
    feedback: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)

    @field_validator("steps")
    @classmethod
    def _are_finished(cls, steps: dict[str, StepRecord]) -> dict[str, StepRecord]:
        open_steps = [name for name, step in steps.items() if step.state not in DONE]
        if open_steps:
            raise ValueError(f"{', '.join(open_steps)}: only finished steps can be taken over")
        return steps


class ForkRequest(SnapshotRequest):
    """What a fork asks for its snapshot; what it takes over is not needed for that, and is not sent."""

    fork: Fork = Field(exclude=True)
