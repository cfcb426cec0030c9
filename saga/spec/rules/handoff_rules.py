"""Finds the faults of agents that hand their conversation over, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...effect import Effect
from ...errors import Fault
from ...history_format import RETRACT
from ...names import nearest
from ..catalog import AgentEntry, Catalog, ToolEntry
from ..teams.handoff import Handoff
from ..teams.member import key_of
from .other_kind import unknown


def handoff_faults(agent: AgentEntry, catalog: Catalog) -> Iterator[Fault]:
    """Yields what is wrong with the handoffs of one agent.

    Args:
        agent: The agent; one that hands nothing over has no faults of this kind.
        catalog: What the worker offers.
    """
    for at, handoff in enumerate(agent.handoffs):
        path = f"handoffs[{at}]"
        for part, message in handoff.faults():
            yield Fault(f"{path}.{part}", message)
        yield from _target_faults(handoff, path, catalog)
        if handoff.on_handoff is not None:
            yield from _tool_faults(handoff, handoff.on_handoff, f"{path}.on_handoff", catalog)
    if agent.handoffs:
        yield from _conversation_faults(agent, catalog)


def arguments_of(tool: ToolEntry, handoff: Handoff, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns with what `on_handoff` is called: the fields of the metadata, or all of it as one parameter."""
    if _takes_whole(tool, handoff):
        return {tool.parameters[0]: dict(metadata)}
    return {field: value for field, value in metadata.items() if field in tool.parameters}


def _takes_whole(tool: ToolEntry, handoff: Handoff) -> bool:
    return len(tool.parameters) == 1 and tool.parameters[0] not in handoff.declared.get("properties", {})


def _target_faults(handoff: Handoff, path: str, catalog: Catalog) -> Iterator[Fault]:
    target = catalog.agents.get(handoff.to)
    if target is None:
        yield Fault(f"{path}.to", unknown("agent", handoff.to, catalog.agents, catalog))
        return
    if target.is_model:
        return
    what = target.instead.removeprefix("is ")
    if handoff.metadata is not None:
        message = f"{target.name} is {what}, and gets its own input from the model; leave metadata out"
        yield Fault(f"{path}.metadata", message)
    if handoff.filter != "full":
        yield Fault(f"{path}.filter", f"{target.name} is {what}, and sees no conversation; leave filter out")
    if handoff.returns:
        yield Fault(f"{path}.returns", f"{target.name} is {what}, and hands nothing back; name it in tools")


def _tool_faults(handoff: Handoff, name: str, path: str, catalog: Catalog) -> Iterator[Fault]:
    tool = catalog.tools.get(name)
    if tool is None:
        yield Fault(path, unknown("tool", name, catalog.tools, catalog))
        return
    if tool.effect is Effect.PIVOT:
        yield Fault(path, f"{name} is a pivot; only a step may call a pivot")
    target = catalog.agents.get(handoff.to)
    if target is not None and not target.is_model:
        return  # what is handed over is that one's input, which is checked when it is
    if _takes_whole(tool, handoff):
        return
    fields, sure = handoff.declared.get("properties", {}), handoff.declared.get("required", ())
    for field in tool.input_schema.get("required", ()):
        if field not in sure:
            lacks = "may lack" if field in fields else "does not have"
            yield Fault(path, f"{name} needs {field!r}, which the metadata {lacks}")
    for field in fields if handoff.metadata is not None else ():
        if field not in tool.parameters:
            message = f"{name} takes no {field!r}, which is in the metadata{nearest(field, tool.parameters)}"
            yield Fault(path, message)


def _conversation_faults(agent: AgentEntry, catalog: Catalog) -> Iterator[Fault]:
    """Yields what is wrong between those who may have one conversation."""
    pivot = next((n for n in agent.tools if n in catalog.tools and _is_pivot(catalog.tools[n])), None)
    if pivot is not None:
        message = f"{agent.name} may call the pivot {pivot}, and hands over; give the pivot a step of its own"
        yield Fault("handoffs", message)
    keys: dict[str, str] = {}
    for name, other in catalog.in_conversation(agent).items():
        first = keys.setdefault(key_of(name), name)
        if first != name:
            message = f"{first} and {name} may have one conversation, and both are called {key_of(name)!r}"
            yield Fault("handoffs", message)
        differs = other.output_schema != agent.output_schema
        if differs and other.is_model and other.compensate != RETRACT:
            yield Fault(
                "handoffs",
                f"{name} answers here as {agent.name} does, which its own compensation {other.compensate} "
                "does not expect; give both the same output, or leave compensate out",
            )


def _is_pivot(tool: ToolEntry) -> bool:
    return tool.effect is Effect.PIVOT
