"""Who plays in a team: an agent, by its name, or a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo

from ...names import NAME_ATTRIBUTE
from ..approval import Asking
from ..fields import StepId, as_expression

NAME = r"\w+(\.\w+)?"
"""What the name of an agent looks like."""

ANSWER = {"type": "string", "minLength": 1}
"""JSON Schema of what a person says where a team does not ask for more."""


class Person(Asking):
    """A person who plays in a team; the answer comes by the update ``decide``.

    Attributes:
        name: What the team calls the person; the question stands at ``STEP/NAME.N``.
        ask: The question. What the team wants to know is shown below it.

    The others are those of `Asking`; without a deadline the team waits for as long as it takes.
    """

    name: StepId
    ask: str = Field(min_length=1)


WORDS = frozenset({"collect", "vote", "best", "round_robin"})
"""What stands where the name of an agent could stand; an agent of such a name is named with its bundle."""


def _named(value: Any, info: ValidationInfo) -> Any:
    """Takes an agent as its full name, and completes a name by the bundle that it stands in."""
    if isinstance(value, Person | dict):
        return value
    name = value if isinstance(value, str) else getattr(value, NAME_ATTRIBUTE, None)
    if not isinstance(name, str):
        said = getattr(value, "name", getattr(value, "__name__", value))
        raise ValueError(f"{said!r} is not registered in a bundle yet; add it before the team")
    if not re.fullmatch(NAME, name):
        raise ValueError(f"{name!r} is not the name of an agent")
    bundle = (info.context or {}).get("bundle")
    return name if "." in name or bundle is None or name in WORDS else f"{bundle}.{name}"


def _speaker(value: Any, info: ValidationInfo) -> Any:
    """Takes an agent, or an expression, which is whatever does not look like a name."""
    is_rule = isinstance(value, str) and not re.fullmatch(NAME, value)
    return as_expression(value) if is_rule else _named(value, info)


if TYPE_CHECKING:  # what is taken, and not only what is kept
    AgentName = Any
    Member = Any
    Members = Sequence[Any]
    Speaker = Any
else:
    AgentName = Annotated[str, BeforeValidator(_named)]
    Member = Annotated[str | Person, BeforeValidator(_named)]
    Speaker = Annotated[str, BeforeValidator(_speaker)]
    Members = Annotated[tuple[Member, ...], Field(min_length=1, max_length=20)]


def key_of(member: str | Person) -> str:
    """Returns what a team calls a member: the last part of its name."""
    return member.name if isinstance(member, Person) else member.rpartition(".")[2]
