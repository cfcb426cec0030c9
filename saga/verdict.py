"""What a validator is asked, and what it answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST_REASONS = 20
LONGEST_REASON = 500

FAST_LIMIT = timedelta(seconds=1)
"""The longest a fast validator may take: a slow local activity delays all that runs beside it."""

MATCHES = "matches its type"
"""The reason of a schema that lets an output pass."""


def _cut(reasons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 3]}..."
        for reason in reasons[:MOST_REASONS]
    )


class Verdict(BaseModel):
    """The answer of one validator.

    Attributes:
        passed: Whether the output may be committed.
        reasons: Why, one sentence each, at most 20 of 500 characters; they reach the board and, on a
            rejection, the failure.
        score: From 0 to 1 where the validator scores, or None.
        validator: Who says so; filled in by the engine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: bool = Field(strict=True)
    reasons: Annotated[tuple[str, ...], AfterValidator(_cut)] = ()
    score: float | None = Field(default=None, ge=0, le=1)
    validator: str = ""

    @classmethod
    def accept(cls, *reasons: str) -> Verdict:
        """Returns a verdict that lets the output pass, with the reasons for it."""
        return cls(passed=True, reasons=reasons)

    @classmethod
    def reject(cls, *reasons: str) -> Verdict:
        """Returns a verdict that refuses the output; say at least one reason."""
        return cls(passed=False, reasons=reasons)


class Evidence(BaseModel):
    """One tool call that the engine has executed for an agent.

    Attributes:
        tool: The tool's registered name.
        arguments: What it was called with.
        result: What it returned, or None.
        error: Why it failed, or None.
    """

    model_config = ConfigDict(frozen=True)

    tool: str
    arguments: dict[str, Any] = {}
    result: Any = None
    error: str | None = None


class Subject(BaseModel):
    """What a validator sees: the claim and the evidence, never the author's transcript.

    Attributes:
        task_id: The workflow id.
        goal: What the task is for.
        task: The task's input.
        step: The step whose output is judged; empty for the output of the whole task.
        author: The agent or tool that made the output.
        input: The step's input.
        output: The claim.
        steps: Outputs of the finished steps, by id.
        evidence: The tool calls that were really executed for this step.
    """

    model_config = ConfigDict(frozen=True)

    task_id: str = ""
    goal: str = ""
    task: Any = None
    step: str = ""
    author: str = ""
    input: Any = None
    output: Any = None
    steps: dict[str, Any] = {}
    evidence: tuple[Evidence, ...] = ()
