"""Finds the faults of what checks inputs before a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ...errors import ExpressionError, Fault
from ...expressions.expression import compile_expression, told_where
from ..catalog import AgentEntry, Catalog, ToolEntry
from ..graph import targets, validation_places, validation_templates
from ..leftovers import template_leftovers
from ..references import misread
from ..task_spec import Step
from .other_kind import unknown

GUARD_READS: Final = ("input", "arguments", "agent", "task")
"""What the expressions of a declared guard may read; ``arguments`` is what ``input`` is."""


def guard_faults(entry: ToolEntry | AgentEntry, catalog: Catalog) -> Iterator[Fault]:
    """Yields what is wrong with the guard that a tool or an agent has declared.

    Args:
        entry: The tool or agent.
        catalog: What the worker offers.
    """
    for place in validation_places(entry.guard, "guard"):
        yield from _expression_faults(place.path, place.source, entry)
    for template in validation_templates(entry.guard, "guard"):
        yield from template_leftovers(template.value, template.path)
    for at, guard in enumerate(entry.guard):
        if guard.check is not None and guard.check not in catalog.validators:
            message = unknown("validator", guard.check, catalog.validators, catalog)
            yield Fault(f"guard[{at}].check", message)
        same = set() if guard.judge is None else guard.judge.among(_callers_models(entry, catalog))
        if same:
            who = "the agent" if isinstance(entry, AgentEntry) else "an agent that may call it"
            message = f"{min(same)} is a model of {who} too; a judge must differ"
            yield Fault(f"guard[{at}].judge.model", message)


def rung_guard_faults(step: Step, catalog: Catalog, here: str) -> Iterator[Fault]:
    """Yields the models of a ladder that judge their own calls, in guards of whom they play or its tools.

    Args:
        step: The step whose ladder it is.
        catalog: What the worker offers.
        here: The step's path.
    """
    others = step.other_models
    if not others:
        return
    played = [catalog.agents[name] for _, name in targets(step) if name in catalog.agents]
    tools = [tool for agent in played for tool in catalog.tools_of(agent)]
    for entry in (*played, *tools):
        for guard in entry.guard:
            for model in sorted(guard.judge.among(others) if guard.judge is not None else ()):
                yield Fault(here, f"{model} is named in a ladder, and judges in the guard of {entry.name}")


def _callers_models(entry: ToolEntry | AgentEntry, catalog: Catalog) -> Iterable[str]:
    if isinstance(entry, AgentEntry):
        return catalog.models_of(entry) if entry.asks_models else ()
    callers = [agent for agent in catalog.agents.values() if agent.asks_models and entry.name in agent.others]
    return [model for agent in callers for model in catalog.models_of(agent)]


def _expression_faults(where: str, source: str, entry: ToolEntry | AgentEntry) -> Iterator[Fault]:
    try:
        paths = compile_expression(source).paths
    except ExpressionError as error:
        yield Fault(where, told_where(error, GUARD_READS))
        return
    schema: Mapping[str, Any] = entry.input_schema
    for path in paths:
        if path.root not in GUARD_READS:
            yield Fault(where, f"{path} cannot be read here; there are {', '.join(GUARD_READS)}")
        elif path.root in ("input", "arguments"):
            misreads = misread(path, schema, 0, f"the input of {entry.name}")
            if misreads is not None:
                yield Fault(where, misreads)
