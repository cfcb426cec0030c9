"""What a spec says is to be done when a step fails or is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from ..expressions.json_values import Whole
from .approval import Asking, asking_fault
from .fields import ModelNames, SpecModel, StepId


def _kind_of_trouble(value: Any) -> str:
    """Tells the forms apart by their keys; a mapping without any of them is held against a fallback."""
    if isinstance(value, list | tuple):
        return "a ladder"
    kinds = FORMS.items()
    if isinstance(value, Mapping):
        return next((kind for key, (kind, _) in kinds if key in value), "a fallback")
    return next((kind for kind, form in FORMS.values() if isinstance(value, form)), "a word")


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


class OtherModel(SpecModel):
    """Undo the step, then let the same agent do it, played by another model.

    Attributes:
        model: A litellm name, or several as a fallback chain.
    """

    model: ModelNames

    @property
    def models(self) -> tuple[str, ...]:
        """The fallback chain."""
        return (self.model,) if isinstance(self.model, str) else self.model


class PlainRule(SpecModel):
    """Undo the step, then let plain Python code answer from the same input.

    Attributes:
        rule: A tool, or an agent in Python, by its full name; it is read-only.
    """

    rule: str


Word = Literal["rollback", "skip", "escalate"]

Rung = (
    Annotated[Word, Tag("a word")]
    | Annotated[Escalate, Tag("an escalation")]
    | Annotated[Fallback, Tag("a fallback")]
    | Annotated[OtherModel, Tag("another model")]
    | Annotated[PlainRule, Tag("a rule")]
)
_ONE_RUNG = Discriminator(_kind_of_trouble)

LastResort = Annotated[
    Rung | Annotated[tuple[Annotated[Rung, _ONE_RUNG], ...], Field(min_length=1), Tag("a ladder")], _ONE_RUNG
]


class RetryFrom(SpecModel):
    """Undo back to a step, and go forward again from there; the steps that run again see ``feedback``.

    Attributes:
        retry_from: The step itself, or one that it waits for.
        rounds: How often at most.
        then: What follows when that did not help.
    """

    retry_from: StepId
    rounds: Whole[int] = Field(default=1, ge=1, le=10, strict=True)
    then: LastResort = "rollback"


AnyRung = Rung | Annotated[RetryFrom, Tag("a retry")]

OnTrouble = Annotated[
    AnyRung | Annotated[tuple[Annotated[AnyRung, _ONE_RUNG], ...], Field(min_length=1), Tag("a ladder")],
    _ONE_RUNG,
]
"""What follows: one thing, or a ladder of several, of which each is tried when the one before has failed."""

FORMS: Final[Mapping[str, tuple[str, type[SpecModel]]]] = {
    "retry_from": ("a retry", RetryFrom),
    "escalate": ("an escalation", Escalate),
    "fallback": ("a fallback", Fallback),
    "model": ("another model", OtherModel),
    "rule": ("a rule", PlainRule),
}
"""By the key that tells a form: its name, and its model."""


def rungs_of(trouble: OnTrouble) -> tuple[AnyRung, ...]:
    """Returns the rungs of a ladder in their order; one thing alone is a ladder of one rung."""
    return trouble if isinstance(trouble, tuple) else (trouble,)


def every_rung(trouble: OnTrouble, path: str) -> Iterator[tuple[str, AnyRung]]:
    """Yields each rung with the place where it stands, those that follow a retry included.

    Args:
        trouble: What follows a failure.
        path: Where that stands.
    """
    for at, rung in enumerate(rungs_of(trouble)):
        where = f"{path}[{at}]" if isinstance(trouble, tuple) else path
        yield where, rung
        if isinstance(rung, RetryFrom):
            yield from every_rung(rung.then, f"{where}.then")
