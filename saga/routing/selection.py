"""What is asked where several agents could do the same job, and what is drawn."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class SelectionRequest(BaseModel):
    """What the activity ``counterstep.select_agent`` takes.

    Attributes:
        agents: The full names of those who could do the job.
        ahead: By how many calls under way one may be ahead of the least busy.
        key: The idempotency key of the draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agents: Annotated[tuple[str, ...], Field(min_length=1)]
    ahead: int = 0
    key: str = ""


class Chance(BaseModel):
    """How one agent stood when it was drawn.

    Attributes:
        draw: What was drawn of how well it may do; None for one that was too busy.
        good: How much it has done well so far.
        bad: How much it has not.
        load: How many of its calls were under way.
    """

    model_config = ConfigDict(frozen=True)

    draw: float | None
    good: float = 0.0
    bad: float = 0.0
    load: int = 0


class Selection(BaseModel):
    """What was drawn.

    Attributes:
        agent: Who does the job.
        chances: How each stood.
        known: Whether the store has answered; where not, nothing was known of anybody.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    chances: dict[str, Chance]
    known: bool = True


class Drawn(BaseModel):
    """An agent that was drawn for a job, and has done it.

    Attributes:
        agent: Its full name.
        key: The idempotency key of the job, under which it is reported how well that was done.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    key: str
