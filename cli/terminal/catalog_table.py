"""Shows people what bundles offer."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...bundle.registry import BUILT_IN_COMPENSATIONS
from ...saga.duration import format_duration
from ...saga.events.start_rule import StartRule
from ...saga.spec.catalog import AgentEntry, Catalog, ToolEntry
from .output import printable, say

_WIDTH = 160


def print_catalog(catalog: Catalog, start_rules: Sequence[StartRule] = ()) -> None:
    """Prints a catalog as tables, one for each kind of thing in it, with the rules for events."""
    tasks, agents, tools = catalog.tasks.items(), catalog.agents.values(), catalog.tools.values()
    _table("task", ("input", "goal"), ((name, _names(spec.input), spec.goal) for name, spec in tasks))
    _table("start rule", ("on", "key", "starts"), map(_start_rule, start_rules))
    _table(
        "agent",
        ("by", "effect", "tools", "undone by", "what"),
        ((e.name, _by(e, catalog), e.effect.value, _offered(e), e.compensate, e.description) for e in agents),
    )
    _table(
        "tool",
        ("arguments", "effect", "undone by", "what"),
        ((e.name, ", ".join(e.parameters), _effect(e), e.compensate or "", e.description) for e in tools),
    )
    _table(
        "validator",
        ("", "what"),
        ((e.name, "fast" if e.fast else "", e.description) for e in catalog.validators.values()),
    )
    built_in = {entry.name for entry in BUILT_IN_COMPENSATIONS}
    _table(
        "compensation",
        ("what",),
        ((e.name, e.description) for e in catalog.compensations.values() if e.name not in built_in),
    )
    _table("not offered", ("why",), catalog.not_offered.items())
    _table("workflow", (), ((name,) for name in catalog.workflows))
    if not (catalog.tasks or catalog.agents or catalog.tools or catalog.validators or catalog.workflows):
        say("These bundles are empty.")


def _table(what: str, headings: Sequence[str], rows: Iterable[tuple[str, ...]]) -> None:
    found = sorted(rows)
    if not found:
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(what, no_wrap=True)
    for heading in headings:
        table.add_column(heading)
    for row in found:
        table.add_row(*(Text(" ".join(printable(cell).split())) for cell in row))
    Console(stderr=True, width=None if sys.stderr.isatty() else _WIDTH).print(table)


def _names(schema: Mapping[str, Any]) -> str:
    """Returns the names in an input schema, with a question mark after those that may be left out."""
    properties, required = schema.get("properties"), schema.get("required", ())
    names = properties if isinstance(properties, Mapping) else ()
    return ", ".join(name if name in required else f"{name}?" for name in names)


def _start_rule(rule: StartRule) -> tuple[str, ...]:
    keys = ", ".join(dict.fromkeys(rule.keys.values())) or "the event's key"
    within = "" if rule.within is None else f" within {format_duration(rule.within)}"
    return rule.name, " and ".join(rule.topics) + within, keys, rule.task


def _offered(agent: AgentEntry) -> str:
    """Returns what an agent may call, and to whom it may hand over."""
    return ", ".join((*agent.tools, *(f"-> {handoff.to}" for handoff in agent.handoffs)))


def _by(agent: AgentEntry, catalog: Catalog) -> str:
    if agent.team is not None:
        return f"{agent.team.pattern}: {', '.join(seat.key for seat in agent.team.places())}"
    models = ", ".join(catalog.models_of(agent)) or "no model is set"
    if agent.process is not None:
        return f"process: {models}"
    return "Python" if agent.python else models


def _effect(tool: ToolEntry) -> str:
    return f"{tool.effect.value}, idempotent" if tool.idempotent else tool.effect.value
