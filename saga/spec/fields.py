"""What all parts of a spec are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ..expressions.tokens import holes, is_one_hole

STEP_ID = r"^[a-z][a-z0-9_]*$"


def _not_reserved(value: str) -> str:
    if value in ("in", "true", "false", "null"):
        raise ValueError(f"{value!r} is a word of expressions, which could not read it by this name")
    return value


StepId = Annotated[str, Field(pattern=STEP_ID, max_length=64), AfterValidator(_not_reserved)]


def as_expression(value: Any) -> Any:
    """Takes ``when: true`` and ``${{ x }}`` where a bare expression is asked for."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and is_one_hole(value):
        return next(holes(value)).source
    return value


BareExpression = Annotated[str, BeforeValidator(as_expression), Field(min_length=1)]

ModelName = Annotated[str, Field(min_length=1)]
ModelNames = ModelName | Annotated[tuple[ModelName, ...], Field(min_length=1)]


class SpecModel(BaseModel):
    """A mapping of a spec: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
