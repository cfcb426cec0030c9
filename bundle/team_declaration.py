"""Reads, strictly, what people write when they declare a team."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ..saga.effect import Effect
from ..saga.errors import DefinitionError
from ..saga.expressions.expression import EFFORT_SCOPE
from ..saga.fault_texts import faults_in
from ..saga.spec.catalog import AgentEntry
from ..saga.spec.teams.pattern import Pattern
from ..saga.spec.teams.team import Team
from .agent import Agent
from .declaration import agent_entry, read_schema

_TEAM: TypeAdapter[Team] = TypeAdapter(Team)
_WRITTEN: Final = "serialization"
_OF_DECLARATION = {"name", "description", "input", "output"}


def read_agent(name: str, agent: Agent[Any] | Pattern, bundle: str, *, stand_in: bool) -> AgentEntry:
    """Reads the declaration of a model agent or a team; see `agent_entry` and `team_entry`."""
    if isinstance(agent, Agent):
        return agent_entry(name, agent, bundle, stand_in=stand_in)
    return team_entry(name, agent, bundle)


def team_entry(name: str, team: Pattern, bundle: str) -> AgentEntry:
    """Reads the declaration of a team.

    Args:
        name: Its full name.
        team: The declaration.
        bundle: The bundle that it is added to, in which names without a bundle are looked up.

    Raises:
        DefinitionError: Something in it is wrong.
    """
    what = f"team {name}"
    if not team.description.strip():
        raise DefinitionError(f"{what}: say in its description what it does; other agents see it")
    said = team.model_dump(exclude_unset=True, exclude=_OF_DECLARATION)
    try:
        named = _TEAM.validate_python({**said, "pattern": team.pattern}, context={"bundle": bundle})
    except ValidationError as error:
        raise DefinitionError(f"{what}: {faults_in(error, 'team')}") from None
    elsewhere = named.roots - {*EFFORT_SCOPE}
    if elsewhere:
        unread = f"{', '.join(sorted(elsewhere))} cannot be read by a team of a bundle"
        raise DefinitionError(f"{what}: {unread}; there are {', '.join(EFFORT_SCOPE)}")
    return AgentEntry(
        name=name,
        description=team.description,
        effect=Effect.READ_ONLY,  # what its members do has effects of its own
        team=named,
        input_schema=read_schema(what, "input", team.input, "validation"),
        output_schema=named.answer_schema(
            {} if team.output is None else read_schema(what, "output", team.output, "serialization")
        ),
    )
