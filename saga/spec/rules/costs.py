"""What a task costs in model calls, told beforehand, and what the field advises about agents and teams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ...counted import counted
from ...errors import ExpressionError, Fault
from ...expressions.expression import compile_expression
from ..catalog import AgentEntry, Catalog
from ..graph import every_step, targets
from ..task_spec import Step, TaskSpec
from ..teams.debate import Debate
from ..teams.group_chat import GroupChat
from ..teams.pattern import DIFFICULTY
from .team_rules import with_teams
from .tool_rules import catalog_in

MANY_SPEAKERS = 3
MANY_AGENTS = 4
MANY_TOOLS = 5
"""More than these are allowed, and seldom help: speakers of a chat, agents of a task, tools of an agent."""


class Calls(NamedTuple):
    """How many model calls something takes.

    Attributes:
        least: Where all goes well at once.
        most: Whatever happens, requests that are repeated not counted; None where only a budget bounds it.
    """

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {counted(self.least, 'model call')}"
        most = counted(self.most, "model call")
        return most if self.most == self.least else f"{self.least} to {most}"


class ModelCost(NamedTuple):
    """What one step, or the whole task, costs.

    Attributes:
        path: The step's place in the spec; empty for the whole task.
        calls: In model calls.
        formula: How that comes about, in words.
    """

    path: str
    calls: Calls
    formula: str

    def __str__(self) -> str:
        return f"{self.path}: {self.calls} ({self.formula})" if self.path else f"{self.formula}: {self.calls}"


def costs_of(spec: TaskSpec, catalog: Catalog) -> list[ModelCost]:
    """Returns what the steps of a task cost that models play, and at last the whole task.

    Args:
        spec: A task without faults.
        catalog: What the worker offers.

    Returns:
        Nothing where no model takes part. A child's steps count for the step that starts it.
    """
    catalog = with_teams(spec, catalog)
    found = [cost for cost in _steps(spec.steps, catalog, "steps", ()) if cost.calls.most != 0]
    if not found:
        return []
    calls = [cost.calls for cost in found]
    return [*found, ModelCost("", _sum(calls), "the whole task")]


def hints_of(spec: TaskSpec, catalog: Catalog) -> Iterator[Fault]:
    """Yields what the field advises about a task; it may run all the same.

    Args:
        spec: A task without faults.
        catalog: What the worker offers.
    """
    catalog = with_teams(spec, catalog)
    agents = catalog.with_others(name for step in every_step(spec.steps) for _, name in targets(step))
    playing = [agent for agent in agents.values() if agent.team is None]
    if len(playing) > MANY_AGENTS:
        yield Fault("", f"{len(playing)} agents take part; more than {MANY_AGENTS} seldom do better")
    yield from _many_tools(spec, catalog, agents)
    for agent in agents.values():
        if isinstance(agent.team, GroupChat) and len(agent.team.members) > MANY_SPEAKERS:
            many = f"{agent.name} has {len(agent.team.members)} speakers"
            yield Fault("", f"{many}; a chat of more than {MANY_SPEAKERS} seldom gets on")
        if isinstance(agent.team, Debate):
            yield Fault(
                "", f"{agent.name} debates; try concurrent with combine: vote first (arXiv 2508.17536)"
            )
            yield from _never_ranks(agent.name, agent.team)
        if agent.process is not None:
            yield Fault("", f"{agent.name} is a process; what it does past its tools (files, shell) stays")
        yield from _at_the_ends(agent)
    yield from _over_budget(spec, catalog)


def _never_ranks(name: str, team: Debate) -> Iterator[Fault]:
    """Yields a ranker that is never asked."""
    largest = team.corners()[-1]
    if team.ranker is not None and team.corners()[0].rank_from > largest.rounds:
        rounds = f"before round {team.corners()[0].rank_from}, and there are {largest.rounds} at most"
        yield Fault("", f"{name} never asks its ranker, which would choose {rounds}")


def _at_the_ends(agent: AgentEntry) -> Iterator[Fault]:
    """Yields the numbers of a team that cannot be where its job is as easy or as difficult as can be."""
    for name, (source, bounds) in () if agent.team is None else agent.team.numbers().items():
        expression = compile_expression(source)
        if {path.root for path in expression.paths} != {DIFFICULTY}:
            continue
        for difficulty in (0, 1):
            try:
                bounds.of(source, expression.evaluate({DIFFICULTY: difficulty}))
            except ExpressionError as error:
                message = f"{agent.name}: {name}: {error}; the difficulty may be {difficulty}"
                yield Fault("", f"{message}, so write min() or max() around it")


def _many_tools(spec: TaskSpec, catalog: Catalog, agents: Mapping[str, AgentEntry]) -> Iterator[Fault]:
    """Yields where a model has to choose among many tools."""
    worse = f"with more than {MANY_TOOLS} models choose worse"
    asked = {other for agent in agents.values() for other in agent.others}
    for step in every_step(spec.steps):
        names = [name for _, name in targets(step) if name in agents]
        if step.tools is None:
            asked.update(names)
            continue
        many = f"{len(step.tools)} tools in step {step.id!r}"
        if len(step.tools) > MANY_TOOLS:
            yield Fault("", f"{' and '.join(names)} has {many}; {worse}")
    for agent in agents.values():
        if agent.offered > MANY_TOOLS and agent.name in asked:
            yield Fault(
                "", f"{agent.name} has {agent.offered} tools; {worse}; a step may leave some out (tools)"
            )


def _over_budget(spec: TaskSpec, catalog: Catalog) -> Iterator[Fault]:
    costs, budget = costs_of(spec, catalog), spec.budget.model_calls
    if costs and budget is not None and costs[-1].calls.least > budget:
        least = costs[-1].calls.least
        yield Fault("budget.model_calls", f"{budget} are fewer than the {least} that the task takes at least")


def _steps(steps: Sequence[Step], catalog: Catalog, path: str, trail: tuple[str, ...]) -> Iterator[ModelCost]:
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        if step.group is not None:
            inside = list(_steps(step.group.steps, catalog, f"{here}.group.steps", trail))
            yield from (_often(step, cost) for cost in inside)
        else:
            yield _often(step, _step(step, catalog, here, trail))


def _step(step: Step, catalog: Catalog, here: str, trail: tuple[str, ...]) -> ModelCost:
    judges = sum(validation.judge is not None for validation in (*step.guard, *step.validate_))
    if step.workflow is not None:
        child = catalog.tasks.get(step.workflow)
        if child is None or step.workflow in trail:
            return ModelCost(here, Calls(judges, judges), "a child")
        inside = _steps(child.steps, with_teams(child, catalog), "", (*trail, step.workflow))
        own = _sum([*(cost.calls for cost in inside), Calls(judges, judges)])
        return ModelCost(here, own, f"the child {step.workflow}")
    catalog = catalog_in(step, catalog)
    entries = [catalog.agents[name] for _, name in targets(step) if name in catalog.agents]
    if not entries:
        return ModelCost(here, Calls(judges, judges), "")
    asked = [_agent(entry, catalog) for entry in entries]
    most = None if any(calls.most is None for calls in asked) else max(calls.most or 0 for calls in asked)
    calls = _sum([Calls(min(calls.least for calls in asked), most), Calls(judges, judges)])
    return ModelCost(here, calls, " or ".join(_formula(entry, catalog) for entry in entries))


def _agent(agent: AgentEntry, catalog: Catalog) -> Calls:
    """Returns what one job of an agent costs."""
    if agent.python:
        return Calls(0, 0)
    if agent.team is not None:
        return _team(agent, catalog)
    if agent.process is not None:
        return Calls(0, None)
    asks = any(name in catalog.agents for name in agent.tools)
    if not agent.handoffs:
        return Calls(1, None if asks else agent.max_turns)
    others = [catalog.agents[name] for name in agent.others if name in catalog.agents]
    turns = [other.max_turns for other in (agent, *others) if other.is_model]
    return Calls(1, None if asks else (1 + agent.max_handoffs) * max(turns))


def _team(agent: AgentEntry, catalog: Catalog) -> Calls:
    """Returns the turns of a team, each as cheap or as dear as any member's."""
    assert agent.team is not None
    turns = agent.team.turns()
    members = [_agent(catalog.agents[name], catalog) for name in agent.team.agents if name in catalog.agents]
    people = len(agent.team.places()) > len(members)
    least = 0 if people else turns.least * min((calls.least for calls in members), default=0)
    if any(calls.most is None for calls in members):
        return Calls(least, None)
    return Calls(least, turns.most * max((calls.most or 0 for calls in members), default=0))


def _formula(agent: AgentEntry, catalog: Catalog) -> str:
    if agent.process is not None:
        return f"{agent.name}: a process, which asks as often as its budget allows"
    if agent.team is None:
        asks = [name for name in agent.tools if name in catalog.agents]
        more = f", and what it asks of {', '.join(asks)}" if asks else ""
        return f"{agent.name}: {counted(agent.max_turns, 'turn')} at most{more}"
    turns = agent.team.turns()
    most = counted(turns.most, "turn")
    played = most if turns.least == turns.most else f"{turns.least} to {most}"
    return f"{agent.name}: {agent.team.pattern}, {turns.formula} = {played} of its members"


def _often(step: Step, cost: ModelCost) -> ModelCost:
    """Returns what a step costs that may be skipped, or is done for each item of a list."""
    most = cost.calls.most
    if step.for_each is not None:
        return ModelCost(cost.path, Calls(0, None if most else most), f"for each item, {cost.formula}")
    return cost._replace(calls=Calls(0, most)) if step.when is not None else cost


def _sum(calls: Iterable[Calls]) -> Calls:
    listed = list(calls)
    open_ = any(one.most is None for one in listed)
    return Calls(sum(one.least for one in listed), None if open_ else sum(one.most or 0 for one in listed))
