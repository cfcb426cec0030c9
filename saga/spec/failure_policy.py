"""What a spec says is to be done when a step fails or is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
)

from .fields import SpecModel, StepId


def _kind_of_trouble(value: Any) -> str:
    if isinstance(value, RetryFrom) or (isinstance(value, Mapping) and "retry_from" in value):
        return "a retry"
    return "a fallback" if isinstance(value, Fallback | Mapping) else "a word"


class Fallback(SpecModel):
    """Undo the step, then let another agent do it with the same input.

    Attributes:
        fallback: The agent, by its full name.
    """

    fallback: str


LastResort = Annotated[
    Annotated[Literal["rollback", "skip", "escalate"], Tag("a word")]
    | Annotated[Fallback, Tag("a fallback")],
    Discriminator(_kind_of_trouble),
]


class RetryFrom(SpecModel):
    """Undo back to a step, and go forward again from there; the steps that run again see ``feedback``.

    Attributes:
        retry_from: The step itself, or one that it waits for.
        rounds: How often at most.
        then: What follows when that did not help.
    """

    retry_from: StepId
    rounds: int = Field(default=1, ge=1, le=10)
    then: LastResort = "rollback"


OnTrouble = Annotated[
    Annotated[Literal["rollback", "skip", "escalate"], Tag("a word")]
    | Annotated[Fallback, Tag("a fallback")]
    | Annotated[RetryFrom, Tag("a retry")],
    Discriminator(_kind_of_trouble),
]
