"""Finds the faults of teams, and of agents that ask others, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ...effect import Effect
from ...errors import Fault
from ...expressions.expression import compile_expression
from ...history_format import STAND_IN
from ...names import plain_model
from ..catalog import AgentEntry, Catalog
from ..graph import every_step
from ..references import misread
from ..task_spec import TaskSpec
from ..teams.member import Person
from ..teams.pattern import Pattern
from .handoff_rules import handoff_faults
from .other_kind import unknown
from .router_rules import router_faults

MAX_DEPTH = 5
"""How many agents and teams may be inside of each other."""


def with_teams(spec: TaskSpec, catalog: Catalog) -> Catalog:
    """Returns a catalog in which the teams that are written in the steps of a spec are agents, by step id."""
    teams = {step.id: step.team for step in every_step(spec.steps) if step.team is not None}
    if not teams:
        return catalog
    entries = {
        name: AgentEntry(
            name=name,
            description=team.description,
            effect=Effect.READ_ONLY,
            team=team,
            input_schema={"type": "object"},
            output_schema=team.answer_schema(team.output or {}),
        )
        for name, team in teams.items()
    }
    return catalog.model_copy(update={"agents": {**catalog.agents, **entries}})


def team_faults(agent: AgentEntry, catalog: Catalog, path: str = "") -> Iterator[Fault]:
    """Yields what is wrong with whom an agent asks: the members of a team, or the agents among its tools.

    Args:
        agent: A team, or any other agent.
        catalog: What the worker offers.
        path: Where the team is written; empty for one that is registered.
    """
    yield from _unknown_members(agent, catalog, path)
    yield from handoff_faults(agent, catalog)
    cycle = _cycle(agent, catalog)
    if cycle:
        yield Fault(path, f"these agents ask each other for ever: {' -> '.join(cycle)}")
        return
    depth = _depth(agent, catalog)
    if depth > MAX_DEPTH:
        yield Fault(path, f"{depth} agents and teams are inside of each other; the most is {MAX_DEPTH}")
    yield from _pivots(agent, catalog, path)
    yield from _misreads(agent, catalog, path)
    yield from router_faults(agent, catalog, path)
    yield from same_models(agent, catalog, path)


def same_models(agent: AgentEntry, catalog: Catalog, path: str = "") -> Iterator[Fault]:
    """Yields the places of a team in which somebody judges what the same model has made."""
    seats = () if agent.team is None else agent.team.places()
    for seat in seats:
        if not seat.independent or isinstance(seat.member, Person):
            continue
        judged = [other.member for other in seats if other.answers]
        authors = catalog.models_behind(name for name in judged if not isinstance(name, Person))
        own = catalog.models_behind([seat.member])
        same = {model for model in own if plain_model(model) in {plain_model(name) for name in authors}}
        if same - {STAND_IN}:
            message = f"{seat.member} is played by {min(same)}, as a member is that it judges; it must differ"
            yield Fault(_join(path, seat.path), message)


def acting_members(team: Pattern, catalog: Catalog) -> frozenset[str]:
    """Returns the members of a team that may change the world, as the team calls them; a person does not."""
    return frozenset(
        seat.key
        for seat in team.places()
        if not isinstance(seat.member, Person) and _acts(seat.member, catalog)
    )


def _acts(name: str, catalog: Catalog) -> bool:
    inside = catalog.with_others([name]).values()
    tools = [catalog.tools[other] for entry in inside for other in entry.others if other in catalog.tools]
    agents_act = any(entry.effect is not Effect.READ_ONLY for entry in inside)
    return agents_act or any(tool.effect is not Effect.READ_ONLY for tool in tools)


def _unknown_members(agent: AgentEntry, catalog: Catalog, path: str) -> Iterator[Fault]:
    for seat in () if agent.team is None else agent.team.places():
        if isinstance(seat.member, Person) or seat.member in catalog.agents:
            continue
        yield Fault(_join(path, seat.path), unknown("agent", seat.member, catalog.agents, catalog))


def _cycle(agent: AgentEntry, catalog: Catalog) -> list[str]:
    """Returns the agents by which an agent would ask itself, in order; empty where it does not."""
    trails = [[agent.name, other] for other in _asked_by(agent, catalog)]
    while trails:
        trail = trails.pop()
        if trail[-1] in trail[:-1]:
            return trail[trail.index(trail[-1]) :] if trail[-1] == agent.name else []
        entry = catalog.agents.get(trail[-1])
        trails += [[*trail, other] for other in (_asked_by(entry, catalog) if entry else ())]
    return []


def _asked_by(agent: AgentEntry, catalog: Catalog) -> list[str]:
    """Returns the agents that are asked while an agent is at its job.

    Whoever takes its conversation over goes on with that job, and is not asked: handoffs may go in a circle.
    """
    inside = catalog.in_conversation(agent).values()
    names = [] if agent.team is None else [*agent.team.agents]
    names += [name for entry in inside for name in entry.tools]
    names += [entry.name for entry in inside if entry is not agent and not entry.is_model]
    return [name for name in dict.fromkeys(names) if name in catalog.agents]


def _depth(agent: AgentEntry, catalog: Catalog) -> int:
    others = [catalog.agents[name] for name in _asked_by(agent, catalog)]
    if any(_cycle(other, catalog) for other in others):
        return 0
    return 1 + max((_depth(other, catalog) for other in others), default=0)


def _pivots(agent: AgentEntry, catalog: Catalog, path: str) -> Iterator[Fault]:
    """Yields the pivots that are out of reach of the step which would have to say that it may be one."""
    for name, entry in catalog.with_others(agent.others).items():
        for tool in entry.others:
            if tool in catalog.tools and catalog.tools[tool].effect is Effect.PIVOT:
                yield Fault(path, f"{name} may call the pivot {tool}; only a step may call a pivot")
        if entry.python and entry.effect is Effect.PIVOT:
            yield Fault(path, f"{name} is a pivot; only a step may call a pivot")


def _misreads(agent: AgentEntry, catalog: Catalog, path: str) -> Iterator[Fault]:
    """Yields the expressions of a team that read what is not in any answer that it may get."""
    if agent.team is None:
        return
    members = [seat.member for seat in agent.team.places() if seat.answers]
    known = [
        catalog.agents[name] for name in members if not isinstance(name, Person) and name in catalog.agents
    ]
    answering = [agent] if agent.output_schema else known
    # An answer that is text has no confidence, and then it is not sure.
    answers = [one for one in answering if one.output_schema.get("type") != "string"]
    for at, source in agent.team.reads().items():
        expression = None if source is None else compile_expression(source)
        if expression is None or expression.is_conditional:
            continue
        for read, entry in product(expression.paths, answers):
            message = misread(read, entry.output_schema, 0, f"the answer of {entry.name}")
            if message is not None:
                yield Fault(_join(path, at), message)
                break


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part
