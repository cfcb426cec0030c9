"""What a spec says is to be done when a step fails or is rejected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from .approval import Asking, asking_fault
from .fields import SpecModel, StepId


def _kind_of_trouble(value: Any) -> str:
    if isinstance(value, RetryFrom) or (isinstance(value, Mapping) and "retry_from" in value):
        return "a retry"
    if isinstance(value, Escalate) or (isinstance(value, Mapping) and "escalate" in value):
        return "an escalation"
    return "a fallback" if isinstance(value, Fallback | Mapping) else "a word"


class Fallback(SpecModel):
    """Undo the step, then let another agent do it with the same input.

    Attributes:
        fallback: The agent, by its full name.
    """

    fallback: str


def escalation_fault(escalation: Mapping[str, Any]) -> str | None:
    """Says which keys of an escalation do not go together, or None."""
    if escalation.get("default") is not None and escalation.get("deadline") is None:
        return "default is what counts after the deadline; say a deadline"
    return asking_fault(escalation)


class Escalation(Asking):
    """Who is asked what is to become of a step that has failed.

    Attributes:
        default: What counts after the deadline; ``rollback`` where not said.

    The others are those of `Asking`.
    """

    default: Literal["rollback", "skip"] | None = None

    @model_validator(mode="after")
    def _escalation_keys_go_together(self) -> Escalation:
        message = escalation_fault({name: getattr(self, name) for name in self.model_fields_set})
        if message is not None:
            raise ValueError(message)
        return self


class Escalate(SpecModel):
    """Undo the step, then ask people what is to become of it.

    Attributes:
        escalate: Who is asked, and how long is waited for them.
    """

    escalate: Escalation


LastResort = Annotated[
    Annotated[Literal["rollback", "skip", "escalate"], Tag("a word")]
    | Annotated[Escalate, Tag("an escalation")]
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
    | Annotated[Escalate, Tag("an escalation")]
    | Annotated[Fallback, Tag("a fallback")]
    | Annotated[RetryFrom, Tag("a retry")],
    Discriminator(_kind_of_trouble),
]
