"""Finds the faults of a task before it runs: every one, each with its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..effect import Effect
from ..errors import Fault
from ..expressions.template import expressions
from ..expressions.tokens import is_one_hole
from ..names import nearest
from .catalog import AgentEntry, Catalog, ToolEntry
from .failure_policy import AnyRung, Fallback, OtherModel, PlainRule, RetryFrom
from .graph import (
    Graph,
    Place,
    every_step,
    places,
    targets,
    templates,
    validation_places,
    validation_templates,
)
from .json_schema import (
    check_input,
    check_part,
    check_schema,
    fields_of,
    join,
    misspelt_keywords,
    resolve,
)
from .leftovers import template_leftovers, text_leftovers
from .references import ReadScope, ReferenceCheck
from .rules.approval_rules import spec_approval_faults
from .rules.guard_rules import rung_guard_faults
from .rules.ladder_rules import ladder_faults
from .rules.other_kind import other_kind, unknown
from .rules.pivot_rules import child_cycle, pivot_faults
from .rules.team_rules import same_models, team_faults, with_teams
from .rules.timeout_rules import timeout_faults
from .rules.tool_rules import tool_faults
from .task_spec import Step, TaskSpec
from .validation import Validation

__all__ = ["check_input", "check_spec"]

_SEVERITY = (Effect.READ_ONLY, Effect.RETRIABLE, Effect.COMPENSATABLE, Effect.PIVOT)


def check_spec(spec: TaskSpec, catalog: Catalog) -> list[Fault]:
    """Checks a task against what a worker offers.

    Args:
        spec: A spec whose shape is right.
        catalog: What the worker offers.

    Returns:
        Every fault, each once; empty when the task can run.
    """
    return list(dict.fromkeys(_Checker(spec, catalog).faults()))


class _Called(NamedTuple):
    """A child task, as far as its input goes."""

    name: str
    input_schema: Mapping[str, Any]


class _Checker:
    def __init__(self, spec: TaskSpec, catalog: Catalog) -> None:
        catalog = with_teams(spec, catalog)
        self._spec = spec
        self._catalog = catalog
        self._readable = ReferenceCheck(spec, catalog)
        self._first_path: dict[str, str] = {}

    def faults(self) -> Iterator[Fault]:
        spec = self._spec
        broken = check_schema(spec.input, "input")
        yield from broken or misspelt_keywords(spec.input, "input")
        room = ReadScope({step.id: step for step in spec.steps})
        yield from self._steps(spec.steps, "steps", room)
        yield from text_leftovers(spec.goal, "goal")
        yield from template_leftovers(spec.output, "output")
        for path, source in expressions(spec.output, "output"):
            yield from self._readable.faults(Place(path, source, "once"), "", room, None)
        yield from self._validations(spec.validate_, "", room, None, list(every_step(spec.steps)))
        yield from spec_approval_faults(spec.approvals, spec.steps, self._catalog, "", spec.input)
        yield from pivot_faults(spec, self._catalog)

    def _steps(self, steps: Sequence[Step], path: str, room: ReadScope) -> Iterator[Fault]:
        for index, step in enumerate(steps):
            here = f"{path}[{index}]"
            first = self._first_path.setdefault(step.id, here)
            if first != here:
                yield Fault(f"{here}.id", f"{step.id!r} is the id of {first} already; ids are unique")
            yield from self._needs(step, steps, here, room)
            yield from self._step(step, here, room, steps)
            if step.group is not None:
                yield from self._steps(step.group.steps, f"{here}.group.steps", room.inside(step))
        for cycle in Graph(steps).cycles():
            yield Fault(path, f"these steps wait for each other: {' -> '.join(cycle)}")

    def _needs(self, step: Step, siblings: Sequence[Step], here: str, room: ReadScope) -> Iterator[Fault]:
        known = [other.id for other in siblings if other.id != step.id]
        for index, name in enumerate(step.needs):
            where = f"{here}.needs[{index}]"
            if name == step.id:
                yield Fault(where, "a step cannot wait for itself")
            elif name not in known and name in room.steps:
                message = f"{name!r} is outside the group {room.groups[-1]!r}; let the group need it"
                yield Fault(where, message)
            elif name not in known:
                yield Fault(where, f"there is no step {name!r} to wait for{nearest(name, known)}")

    def _step(self, step: Step, here: str, room: ReadScope, siblings: Sequence[Step]) -> Iterator[Fault]:
        for place in places(step):
            if place.scope != "rule":
                yield from self._readable.faults(place, here, room, step)
        for template in templates(step):
            yield from template_leftovers(template.value, f"{here}.{template.path}")
        yield from text_leftovers(step.task_queue, f"{here}.task_queue")
        yield from timeout_faults(step, f"{here}.timeout")
        yield from self._one_of(step, here)
        if step.workflow is not None:
            yield from self._workflow(step, step.workflow, here)
        for where, name in targets(step):
            yield from self._target(step, name, f"{here}.{where}", here)
        if step.compensate is not None and step.compensate not in self._catalog.compensations:
            message = self._unknown("compensation", step.compensate, self._catalog.compensations)
            yield Fault(f"{here}.compensate", message)
        for path, rung in step.rungs:
            yield from self._rung(step, rung, f"{here}.{path}", here, siblings)
        yield from ladder_faults(step, here)
        yield from tool_faults(step, self._catalog, here)
        yield from self._validations(step.validate_, here, room, step, list(every_step([step])))
        yield from self._validations(step.guard, here, room, step, [step], "guard")
        yield from rung_guard_faults(step, self._catalog, here)
        yield from spec_approval_faults(step.approvals, [step], self._catalog, here, self._spec.input)

    def _one_of(self, step: Step, here: str) -> Iterator[Fault]:
        if step.target is None or step.workflow is not None:
            return
        computed = any(expressions(step.target))
        if computed and not step.one_of:
            yield Fault(f"{here}.one_of", f"list what the name of the {step.kind} may come to")
        if step.one_of and not computed:
            yield Fault(f"{here}.one_of", f"{step.target!r} is one name already; leave one_of out")

    def _target(self, step: Step, name: str, where: str, here: str) -> Iterator[Fault]:
        known: Mapping[str, AgentEntry | ToolEntry]
        known = self._catalog.tools if step.kind == "tool" else self._catalog.agents
        entry = known.get(name)
        if entry is None:
            yield Fault(where, self._unknown(step.kind, name, known))
            return
        if isinstance(entry, AgentEntry):
            yield from self._models_of(entry, where)
            yield from (
                team_faults(entry, self._catalog, where)
                if step.team
                else same_models(entry, self._catalog, where)
            )
        yield from self._input(step, entry, here)
        yield from self._effect(step, entry, here)

    def _workflow(self, step: Step, name: str, here: str) -> Iterator[Fault]:
        where = f"{here}.workflow"
        known = [*self._catalog.tasks, *self._catalog.workflows]
        if any(expressions(name)):
            yield Fault(where, "name the workflow outright; it cannot be computed")
        elif name not in known and step.task_queue is None:
            other = other_kind(name, self._catalog, but="task")
            message = (
                f"{name!r} {other}"
                if other
                else f"there is no task or workflow {name!r}{nearest(name, known)}"
            )
            more = "" if other else "; one that other workers have needs their task_queue"
            yield Fault(where, f"{message}{more}")
        elif name in self._catalog.tasks:
            child = self._catalog.tasks[name]
            yield from self._input(step, _Called(name, child.input), here)
            callers = child_cycle(name, self._catalog)
            if callers:
                yield Fault(where, f"these tasks start each other for ever: {' -> '.join(callers)}")

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> str:
        if kind == "agent" and name in self._catalog.tools:
            return f"{name!r} is a tool; write tool: {name}"
        if kind == "tool" and name in self._catalog.agents:
            return f"{name!r} is an agent; write agent: {name}"
        if kind in ("agent", "tool") and name in self._catalog.tasks:
            return f"{name!r} is a task; write workflow: {name}"
        return unknown(kind, name, known, self._catalog)

    def _models_of(self, agent: AgentEntry, where: str) -> Iterator[Fault]:
        """Yields the agents that a call may reach and that no model can play."""
        for entry in {agent.name: agent, **self._catalog.with_others(agent.others)}.values():
            if entry.is_model and not self._catalog.models_of(entry):
                message = f"{entry.name} names no model; set COUNTERSTEP_MODEL or give its Agent a model"
                yield Fault(where, message)

    def _input(self, step: Step, entry: AgentEntry | ToolEntry | _Called, here: str) -> Iterator[Fault]:
        if isinstance(step.input, str) and is_one_hole(step.input):
            return
        if not isinstance(step.input, Mapping):
            yield Fault(f"{here}.input", "must be a mapping, or one ${{ }} that gives one")
            return
        schema = resolve(entry.input_schema)
        for name in schema.get("required", ()):
            if name not in step.input:
                yield Fault(f"{here}.input", f"{entry.name} needs {name!r}, which is missing")
        fields = fields_of(entry.input_schema)
        properties = schema.get("properties", {})
        for name, value in step.input.items():
            where = f"{here}.input.{name}"
            if fields is not None and name not in fields:
                yield Fault(where, f"{entry.name} takes no {name!r}{nearest(name, fields)}")
            elif name in properties and not any(expressions(value)):
                yield from check_part(entry.input_schema, properties[name], value, where)

    def _effect(self, step: Step, entry: AgentEntry | ToolEntry, here: str) -> Iterator[Fault]:
        effect, where = step.effect, f"{here}.effect"
        if effect is None:
            return
        if step.compensate is not None:
            if effect is not Effect.COMPENSATABLE:
                yield Fault(where, f"it is {effect} and names a compensation; leave one of them out")
        elif effect is Effect.COMPENSATABLE and entry.compensate is None:
            yield Fault(where, "it is compensatable and names no compensation")
        elif _SEVERITY.index(effect) < _SEVERITY.index(entry.effect):
            yield Fault(where, f"{entry.name} is {entry.effect}; a spec cannot make it {effect}")

    def _retry_from(
        self, step: Step, trouble: RetryFrom, where: str, siblings: Sequence[Step]
    ) -> Iterator[Fault]:
        first = trouble.retry_from
        before = Graph(siblings).ancestors(step.id)
        if first != step.id and first not in before:
            known = [step.id, *before]
            message = f"{first!r} is not {step.id!r} and not a step that it waits for{nearest(first, known)}"
            yield Fault(where, message)

    def _rung(
        self, step: Step, rung: AnyRung, where: str, here: str, siblings: Sequence[Step]
    ) -> Iterator[Fault]:
        """Yields what is wrong with one thing that may follow a failure."""
        match rung:
            case RetryFrom():
                yield from self._retry_from(step, rung, f"{where}.retry_from", siblings)
            case Fallback() if step.group is not None:
                yield Fault(f"{where}.fallback", "a group has no fallback agent; give its steps one")
            case Fallback():
                yield from self._fallback(step, rung.fallback, f"{where}.fallback", here)
            case OtherModel():
                yield from self._other_model(step, f"{where}.model")
            case PlainRule() if step.group is not None:
                yield Fault(f"{where}.rule", "a group has no rule; give its steps one")
            case PlainRule():
                yield from self._rule(step, rung.rule, f"{where}.rule", here)

    def _fallback(self, step: Step, name: str, where: str, here: str) -> Iterator[Fault]:
        entry = self._catalog.agents.get(name)
        if entry is None:
            yield Fault(where, self._unknown_agent(name))
            return
        yield from self._models_of(entry, where)
        yield from self._input(step, entry, here)

    def _other_model(self, step: Step, where: str) -> Iterator[Fault]:
        if step.kind != "agent":
            word = "a group has no model" if step.group is not None else f"it calls a {step.kind}"
            yield Fault(where, f"another model may play the agent of a step only, and {word}")
            return
        for _, name in targets(step):
            agent = self._catalog.agents.get(name)
            if agent is not None and not agent.is_model:
                more = "; its members have models" if agent.team is not None else ""
                yield Fault(where, f"{name} {agent.instead}{more}; name another agent as fallback")

    def _rule(self, step: Step, name: str, where: str, here: str) -> Iterator[Fault]:
        entry = self._catalog.tools.get(name) or self._catalog.agents.get(name)
        if entry is None:
            known = [*self._catalog.tools, *(n for n, agent in self._catalog.agents.items() if agent.python)]
            other = other_kind(name, self._catalog, but="tool")
            message = f"there is no tool or agent in Python {name!r}{nearest(name, known)}"
            yield Fault(where, f"{name!r} {other}" if other else message)
        elif isinstance(entry, AgentEntry) and not entry.python:
            yield Fault(where, f"{name} is not plain code; write fallback: {name}")
        elif entry.effect is not Effect.READ_ONLY:
            yield Fault(where, f"{name} is {entry.effect}; a rule answers from its input, and is read_only")
        else:
            yield from self._input(step, entry, here)

    def _unknown_agent(self, name: str) -> str:
        if name in self._catalog.tools:
            return f"{name!r} is a tool; a fallback is an agent"
        return self._unknown("agent", name, self._catalog.agents)

    def _validations(
        self,
        validations: Sequence[Validation],
        here: str,
        room: ReadScope,
        step: Step | None,
        made_by: list[Step],
        key: str = "validate",
    ) -> Iterator[Fault]:
        for place in validation_places(validations, key):
            yield from self._readable.faults(place, here, room, step)
        for template in validation_templates(validations, key):
            yield from template_leftovers(template.value, join(here, [template.path]))
        for index, validation in enumerate(validations):
            path = join(here, [f"{key}[{index}]"])
            if validation.check is not None and validation.check not in self._catalog.validators:
                message = self._unknown("validator", validation.check, self._catalog.validators)
                yield Fault(f"{path}.check", message)
            if validation.judge is not None:
                same = validation.judge.among(self._models(made_by))
                if same:
                    whose = "the author's model" if key == "validate" else "a model of the step"
                    message = f"{min(same)} is {whose} too; a judge must differ"
                    yield Fault(f"{path}.judge.model", message)

    def _models(self, steps: Sequence[Step]) -> set[str]:
        """Returns the models that may take part in what `steps` make."""
        names = {name for step in steps for _, name in targets(step)}
        names |= {name for step in steps for name in step.fallbacks}
        return self._catalog.models_behind(names) | {model for step in steps for model in step.other_models}
