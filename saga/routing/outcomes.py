"""How well agents have done their jobs, as validators and peers report it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

VERDICT = "verdict"
"""The kind of an outcome that the checks of a step report: 1 for what has passed, 0 for what was rejected."""

IMPORTANCE = "importance"
"""The kind of an outcome that says how much an agent has added to its team's answer."""

_Name = Annotated[str, Field(min_length=1, max_length=200)]


class JobOutcome(BaseModel):
    """How well one agent has done one job.

    Attributes:
        kind: What reports it: `VERDICT`, `IMPORTANCE`, or a name of one's own.
        agent: The agent's full name.
        score: From 0, of no use, to 1.
        key: The idempotency key of the call that is reported: of the same kind and key only the first report
            counts, so that a repeated one does nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
    agent: _Name
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    key: _Name


class Outcomes(BaseModel):
    """What the activity ``counterstep.note_outcomes`` takes.

    Attributes:
        outcomes: The reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcomes: tuple[JobOutcome, ...]
