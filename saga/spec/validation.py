"""One check of an output, or of an input, as a spec writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import (
    Field,
    model_validator,
)

from ..names import plain_model
from .fields import BareExpression, ModelNames, SpecModel


def validation_fault(validation: Mapping[str, Any]) -> str | None:
    """Says which keys of a validation do not go together, or None."""
    said = {key for key, value in validation.items() if value is not None}
    if len(said & {"rule", "check", "judge"}) != 1:
        return "say exactly one of rule, check and judge"
    if "message" in said and "rule" not in said:
        return "message belongs to a rule"
    return None


class Judge(SpecModel):
    """A language model, other than the author's, that scores an output against criteria.

    Attributes:
        model: A litellm name, or several as a fallback chain.
        criteria: What a good output is, in words.
        threshold: The least score from 0 to 1 that passes.
    """

    model: ModelNames
    criteria: str = Field(min_length=1)
    threshold: float = Field(default=0.7, ge=0, le=1, strict=True)

    @property
    def models(self) -> tuple[str, ...]:
        """The fallback chain."""
        return (self.model,) if isinstance(self.model, str) else self.model

    def among(self, authors: Iterable[str]) -> set[str]:
        """Returns those of some models that are one of its own, by whatever provider."""
        own = {plain_model(name) for name in self.models}
        return {author for author in authors if plain_model(author) in own}


class Validation(SpecModel):
    """One independent check of an output, or of an input: exactly one of `rule`, `check` and `judge`.

    Attributes:
        rule: An expression that must be true; it reads the step's own ``output`` and ``input`` too; a
            guard reads the input only.
        message: What a rule says where it is false; a template.
        check: The validator of a bundle, by its full name.
        judge: A language model.
    """

    rule: BareExpression | None = None
    message: str | None = None
    check: str | None = None
    judge: Judge | None = None

    @model_validator(mode="after")
    def _keys_go_together(self) -> Validation:
        message = validation_fault({name: getattr(self, name) for name in self.model_fields_set})
        if message is not None:
            raise ValueError(message)
        return self
