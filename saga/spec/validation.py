"""One check of an output, as a spec writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import (
    Field,
    model_validator,
)

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
    threshold: float = Field(default=0.7, ge=0, le=1)


class Validation(SpecModel):
    """One independent check of an output: exactly one of `rule`, `check` and `judge`.

    Attributes:
        rule: An expression that must be true; it reads the step's own ``output`` and ``input`` too.
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
