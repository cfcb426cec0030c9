"""A step that leaves its agent fewer tools than it has."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import Fault
from ...names import nearest
from ..catalog import AgentEntry, Catalog
from ..graph import targets
from ..task_spec import Step
from .other_kind import other_kind


def narrowed(agent: AgentEntry, tools: tuple[str, ...] | None) -> AgentEntry:
    """Returns an agent with these of its tools only, in its own order; None for all of them."""
    if tools is None:
        return agent
    return agent.model_copy(update={"tools": tuple(name for name in agent.tools if name in tools)})


def catalog_in(step: Step, catalog: Catalog) -> Catalog:
    """Returns a catalog in which the agent of a step has the tools that the step leaves it."""
    if step.tools is None:
        return catalog
    agents = (catalog.agents[name] for _, name in targets(step) if name in catalog.agents)
    fewer = {agent.name: narrowed(agent, step.tools) for agent in agents}
    return catalog.model_copy(update={"agents": {**catalog.agents, **fewer}})


def tool_faults(step: Step, catalog: Catalog, here: str) -> Iterator[Fault]:
    """Yields what is wrong with the tools that a step leaves its agent.

    Args:
        step: The step.
        catalog: What the worker offers.
        here: Where the step is written.
    """
    tools = step.tools or ()
    for index, name in enumerate(tools):
        if name in tools[:index]:
            yield Fault(f"{here}.tools[{index}]", f"{name!r} is named twice")
    for _, agent_name in targets(step) if step.tools is not None else ():
        agent = catalog.agents.get(agent_name)
        if agent is None:
            continue
        if not agent.asks_models:
            what = "is Python code" if agent.python else "is a team; its members have tools"
            yield Fault(f"{here}.tools", f"{agent_name} {what}; leave tools out")
            continue
        for index, name in enumerate(tools):
            if name not in agent.tools:
                yield Fault(f"{here}.tools[{index}]", _unknown(name, agent, catalog))


def _unknown(name: str, agent: AgentEntry, catalog: Catalog) -> str:
    near = nearest(name, agent.tools)
    if name in catalog.tools or name in catalog.agents:
        its = f"the tools of {agent.name}, and a step can only leave some of them out"
        return f"{name!r} is not among {its}{near}"
    other = other_kind(name, catalog, but="tool")
    if other:
        return f"{name!r} {other}"
    return f"{agent.name} has no tool {name!r}{near}"
