"""Who plays in a team: an agent, by its name, or a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo

from ...names import NAME_ATTRIBUTE
from ..approval import Asking
from ..fields import BareExpression, SpecModel, StepId, as_expression

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
    if isinstance(value, Person | MemberIf | dict):
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


_READ = frozenset({"input", "task", "steps", "facts", "item", "index", "difficulty"})
"""Where an expression begins that could be the name of an agent in a bundle."""


def _difficulty(value: Any, info: ValidationInfo) -> Any:
    """Takes an agent, or an expression, or a number, which is an expression too."""
    value = as_expression(value)
    if value is None or isinstance(value, int | float):
        return None if value is None else str(value)
    is_rule = isinstance(value, str) and not is_agent(value)
    return value if is_rule else _named(value, info)


def is_agent(difficulty: str) -> bool:
    """Says whether a difficulty names an agent, and is not an expression."""
    root = difficulty.partition(".")[0]
    return bool(re.fullmatch(NAME, difficulty)) and not root[0].isdigit() and root not in _READ


def _kind_of(value: Any) -> str:
    """Tells the forms of a member apart; what it returns stands in the places of faults."""
    if isinstance(value, MemberIf) or (isinstance(value, dict) and not {"agent", "when"}.isdisjoint(value)):
        return "MemberIf"
    return "Person" if isinstance(value, Person | dict) else "agent"


if TYPE_CHECKING:  # what is taken, and not only what is kept
    AgentName = Any
    Difficulty = Any
    Member = Any
    Members = Sequence[Any]
    Validators = Sequence[Any]
    Speaker = Any
else:
    AgentName = Annotated[str, BeforeValidator(_named)]
    Member = Annotated[str | Person, BeforeValidator(_named)]
    Speaker = Annotated[str, BeforeValidator(_speaker)]
    Validators = Annotated[tuple[AgentName, ...], Field(max_length=5)]
    Difficulty = Annotated[str | None, BeforeValidator(_difficulty)]


class MemberIf(SpecModel):
    """A member of a team that takes part in some cases only.

    Attributes:
        agent: Who.
        when: An expression over what the numbers of the team may read; the agent takes part where it is true.
    """

    agent: AgentName
    when: BareExpression


if not TYPE_CHECKING:
    _AnyMember = Annotated[
        Annotated[str, Tag("agent")]
        | Annotated[Person, Tag("Person")]
        | Annotated[MemberIf, Tag("MemberIf")],
        Discriminator(_kind_of),
        BeforeValidator(_named),
    ]
    Members = Annotated[tuple[_AnyMember, ...], Field(min_length=1, max_length=20)]


def agent_or_person(member: str | Person | MemberIf) -> str | Person:
    """Returns who that is, whenever it takes part."""
    return str(member.agent) if isinstance(member, MemberIf) else member


def key_of(member: str | Person | MemberIf) -> str:
    """Returns what a team calls a member: the last part of its name."""
    who = agent_or_person(member)
    return who.name if isinstance(who, Person) else who.rpartition(".")[2]
