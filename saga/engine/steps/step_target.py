"""What one step calls: an agent or a tool, by its name or by what an expression comes to."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import FailureType
from ...expressions.template import render
from ...failure import Failed, Failure
from ...names import nearest
from ...spec.catalog import AgentEntry, ToolEntry
from ...spec.rules.tool_rules import narrowed
from ...spec.task_spec import Step
from .step_surroundings import StepItem, Surroundings


class StepTarget:
    """Finds out what a step calls."""

    def __init__(self, run: Surroundings, step: Step) -> None:
        """Prepares for one step of a graph."""
        self._catalog = run.context.catalog
        self._record = run.context.record
        self._step = step
        self._name = run.name_of(step.id)
        self._path = f"{run.prefix}{step.id}"

    def route(self, item: StepItem) -> AgentEntry | ToolEntry:
        """Returns what is to be called; what an expression has chosen is a decision. Raises as `of`."""
        target = self.of(item)
        if self._step.one_of:
            why = f"{self._step.target} comes to it"
            at = item.path.removeprefix(self._path)
            what = f"{at}{': ' if at else ''}calls {target.name}"
            self._record.log.decide("route", what, self._name, why, call=item.path)
        return target

    def of(self, item: StepItem) -> AgentEntry | ToolEntry:
        """Returns what the step calls, an agent with the tools that the step leaves it.

        Raises:
            Failed: A computed name is none that it may be.
            ExpressionError: The name cannot be computed.
        """
        name = render(self._step.target, item.variables, self._step.kind)
        if self._step.one_of and name not in self._step.one_of:
            known = ", ".join(self._step.one_of)
            raise self._unknown(f"{name!r} is not in one_of ({known})")
        entry = self.entry(str(name))
        return narrowed(entry, self._step.tools) if isinstance(entry, AgentEntry) else entry

    def entry(self, name: str) -> AgentEntry | ToolEntry:
        """Returns what has this name; raises `Failed` where there is nothing of it."""
        catalog = self._catalog
        known: Mapping[str, AgentEntry | ToolEntry] = catalog.tools if self._step.tool else catalog.agents
        entry = known.get(name) or catalog.agents.get(name)
        if entry is None:
            raise self._unknown(f"there is no {self._step.kind} {name!r}{nearest(name, known)}")
        return entry

    def rule(self, name: str) -> AgentEntry | ToolEntry:
        """Returns the plain code of this name: a tool, or an agent in Python."""
        return self._catalog.tools.get(name) or self.entry(name)

    def _unknown(self, message: str) -> Failed:
        return Failed(Failure(step=self._name, type=FailureType.UNKNOWN_NAME, message=message))
