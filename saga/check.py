"""Finds the faults of a task before it runs: every one, each with its path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from .catalog import AgentEntry, Catalog, ToolEntry
from .effect import Effect
from .errors import ExpressionError, Fault
from .expression import Path, compile_expression
from .graph import Graph, Place, places, validation_places
from .names import nearest
from .spec import Fallback, Step, TaskSpec, Validation
from .template import expressions

_SCOPES = {
    "once": ("task", "steps", "facts"),
    "item": ("task", "steps", "facts", "item", "index"),
    "group": ("task", "steps", "facts"),
    "rule": ("task", "steps", "facts", "output", "input"),
}


def check_spec(spec: TaskSpec, catalog: Catalog) -> list[Fault]:
    """Checks a task against what a worker offers.

    Args:
        spec: A spec whose shape is right.
        catalog: What the worker offers.

    Returns:
        Every fault, in the order of the document; empty when the task can run.
    """
    return list(_Checker(spec, catalog).faults())


def check_input(schema: Mapping[str, Any], value: Any, path: str = "input") -> list[Fault]:
    """Checks a value against a JSON Schema.

    Args:
        schema: JSON Schema; draft 2020-12 where it names no other.
        value: A JSON value.
        path: What messages call the value.

    Returns:
        Every fault, sorted by path.
    """
    validator = validator_for(schema, default=jsonschema.Draft202012Validator)(schema)
    errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    return [Fault(_join(path, error.absolute_path), _schema_message(error)) for error in errors]


class _Checker:
    def __init__(self, spec: TaskSpec, catalog: Catalog) -> None:
        self.spec = spec
        self.catalog = catalog
        self.all_ids = [step.id for step in _all_steps(spec.steps)]
        self.in_items = {
            child.id for step in _all_steps(spec.steps) if step.group and step.for_each for child in _inside(step)
        }
        self.task_fields = spec.input.get("properties")

    def faults(self) -> Iterator[Fault]:
        yield from self._input_schema()
        for name in sorted({name for name in self.all_ids if self.all_ids.count(name) > 1}):
            yield Fault("steps", f"the id {name!r} stands here {self.all_ids.count(name)} times; ids are unique")
        yield from self._graph(self.spec.steps, "steps", {})
        visible = {step.id: step for step in self.spec.steps}
        for path, source in expressions(self.spec.output, "output"):
            yield from self._expression(Place(path, source, "once"), "", visible, None)
        yield from self._validations(self.spec.validate_, "", visible, self._all_models(), None)
        yield from self._pivot()

    def _input_schema(self) -> Iterator[Fault]:
        try:
            validator_for(self.spec.input, default=jsonschema.Draft202012Validator).check_schema(self.spec.input)
        except SchemaError as error:
            yield Fault(_join("input", error.absolute_path), f"is no JSON Schema: {error.message}")

    def _graph(self, steps: Sequence[Step], path: str, outer: dict[str, Step]) -> Iterator[Fault]:
        visible = {**outer, **{step.id: step for step in steps}}
        for index, step in enumerate(steps):
            here = f"{path}[{index}]"
            for name in step.needs:
                if name == step.id or name not in {other.id for other in steps}:
                    known = {other.id for other in steps if other.id != step.id}
                    yield Fault(f"{here}.needs", f"there is no step {name!r} to wait for{nearest(name, known)}")
            yield from self._step(step, here, visible)
            if step.group is not None:
                yield from self._graph(step.group.steps, f"{here}.group.steps", visible)
        cycle = Graph(steps).cycle()
        if cycle:
            yield Fault(path, f"these steps wait for each other: {' -> '.join(cycle)}")

    def _step(self, step: Step, here: str, visible: dict[str, Step]) -> Iterator[Fault]:
        inside = {child.id: child for child in step.group.steps} if step.group else {}
        for place in places(step):
            if not place.path.startswith("validate"):
                scope = {**visible, **inside} if place.scope == "group" else visible
                yield from self._expression(place, here, scope, step)
        authors: list[AgentEntry] = []
        for name, where in self._targets(step, here):
            entry: AgentEntry | ToolEntry | None
            known: Mapping[str, AgentEntry | ToolEntry]
            known = self.catalog.agents if step.kind == "agent" else self.catalog.tools
            entry = known.get(name)
            if entry is None:
                yield Fault(where, self._unknown(step.kind, name, known))
                continue
            if isinstance(entry, AgentEntry):
                authors.append(entry)
                yield from self._model(entry, where)
            yield from self._input(step, entry, here)
            yield from self._effect(step, entry, here)
        for key, trouble in (("on_failure", step.on_failure), ("on_reject", step.on_reject)):
            if isinstance(trouble, Fallback):
                yield from self._fallback(step, trouble, f"{here}.{key}")
        models = {model for entry in authors for model in self.catalog.models_of(entry) if not entry.python}
        yield from self._validations(step.validate_, here, visible, models, step)

    def _targets(self, step: Step, here: str) -> Iterator[tuple[str, str]]:
        if step.target is None:
            return
        if not any(expressions(step.target)):
            yield step.target, f"{here}.{step.kind}"
            return
        for index, name in enumerate(step.one_of):
            yield name, f"{here}.one_of[{index}]"

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> str:
        other, kinds = (self.catalog.tools, "tool") if kind == "agent" else (self.catalog.agents, "agent")
        if name in other:
            return f"{name!r} is {'an' if kinds == 'agent' else 'a'} {kinds}; write {kinds}: {name}"
        return f"there is no {kind} {name!r}{nearest(name, known)}"

    def _model(self, agent: AgentEntry, where: str) -> Iterator[Fault]:
        if not agent.python and not self.catalog.models_of(agent):
            yield Fault(where, f"{agent.name} names no model; set COUNTERSTEP_MODEL or give its Agent a model")

    def _input(self, step: Step, entry: AgentEntry | ToolEntry, here: str) -> Iterator[Fault]:
        if isinstance(step.input, str):
            return
        if not isinstance(step.input, Mapping):
            yield Fault(f"{here}.input", "must be a mapping, or one ${{ }} that gives one")
            return
        schema = _resolve(entry.input_schema, entry.input_schema)
        properties: dict[str, Any] = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in step.input:
                yield Fault(f"{here}.input", f"{entry.name} needs {name!r}, which is missing")
        closed = isinstance(entry, ToolEntry) or schema.get("additionalProperties") is False
        for name, value in step.input.items():
            if name not in properties:
                if closed or (properties and entry.input_schema.get("type") != "object"):
                    yield Fault(f"{here}.input.{name}", f"{entry.name} takes no {name!r}{nearest(name, properties)}")
                continue
            if not any(expressions(value)):
                part = {**properties[name], "$defs": entry.input_schema.get("$defs", {})}
                yield from check_input(part, value, f"{here}.input.{name}")

    def _effect(self, step: Step, entry: AgentEntry | ToolEntry, here: str) -> Iterator[Fault]:
        if step.compensate is not None and step.compensate not in self.catalog.compensations:
            message = f"there is no compensation {step.compensate!r}{nearest(step.compensate, self.catalog.compensations)}"
            yield Fault(f"{here}.compensate", message)
        effect = step.effect
        if effect is not None and step.compensate is not None and effect is not Effect.COMPENSATABLE:
            yield Fault(f"{here}.effect", f"it is {effect} and names a compensation; leave one of them out")
        if effect is Effect.COMPENSATABLE and step.compensate is None and not entry.compensate:
            yield Fault(f"{here}.effect", "it is compensatable and names no compensation")

    def _fallback(self, step: Step, trouble: Fallback, here: str) -> Iterator[Fault]:
        entry = self.catalog.agents.get(trouble.fallback)
        if entry is None:
            yield Fault(here, self._unknown("agent", trouble.fallback, self.catalog.agents))
            return
        if step.group is not None:
            yield Fault(here, "a group has no fallback agent; give its steps one")
            return
        yield from self._model(entry, here)
        yield from self._input(step, entry, here.rsplit(".", 1)[0])

    def _validations(
        self,
        validations: Sequence[Validation],
        here: str,
        visible: dict[str, Step],
        author_models: set[str],
        step: Step | None,
    ) -> Iterator[Fault]:
        for place in validation_places(validations):
            yield from self._expression(place, here, visible, step)
        for index, validation in enumerate(validations):
            path = _join(here, ["validate", index])
            if validation.check is not None and validation.check not in self.catalog.validators:
                message = f"there is no validator {validation.check!r}{nearest(validation.check, self.catalog.validators)}"
                yield Fault(f"{path}.check", message)
            if validation.judge is not None:
                judge = validation.judge.model
                same = author_models & ({judge} if isinstance(judge, str) else set(judge))
                if same:
                    yield Fault(f"{path}.judge.model", f"{min(same)} is the author's model too; a judge must differ")

    def _expression(self, place: Place, here: str, visible: dict[str, Step], step: Step | None) -> Iterator[Fault]:
        where = _join(here, [place.path])
        try:
            paths = compile_expression(place.source).paths
        except ExpressionError as error:
            yield Fault(where, str(error))
            return
        for path in paths:
            message = self._path_fault(path, place.scope, visible, step)
            if message:
                yield Fault(where, message)

    def _path_fault(self, path: Path, scope: str, visible: dict[str, Step], step: Step | None) -> str | None:
        items = step is not None and (step.id in self.in_items or (step.for_each and scope != "once"))
        allowed = (*_SCOPES[scope], "item", "index") if items else _SCOPES[scope]
        if path.root not in allowed:
            why = " (only under for_each)" if path.root in ("item", "index") else " (only in a rule)"
            return f"{path} cannot be read here{why}"
        if path.root == "task" and path.parts and self.task_fields and path.parts[0] not in self.task_fields:
            if self.spec.input.get("additionalProperties") is not True:
                return f"{path}: the task's input has no {path.parts[0]!r}{nearest(path.parts[0], self.task_fields)}"
        if path.root == "steps":
            return self._step_path_fault(path, visible, step, scope)
        return None

    def _step_path_fault(self, path: Path, visible: dict[str, Step], step: Step | None, scope: str) -> str | None:
        if not path.parts:
            return "steps alone cannot be read; name one, e.g. steps.ID.output"
        name = path.parts[0]
        if step is not None and name == step.id:
            return f"{path}: a step cannot read itself" + ("; write output" if scope == "rule" else "")
        target = visible.get(name)
        if target is None:
            inside = next((s.id for s in _all_steps(self.spec.steps) if s.group and name in _ids(s)), None)
            if inside:
                return f"{path}: {name!r} is inside the group {inside!r}; read the group's output"
            return f"{path}: there is no step {name!r}{nearest(name, [n for n in visible if not step or n != step.id])}"
        if len(path.parts) == 1 or path.parts[1] not in ("output", "state"):
            return f"{path}: of a step there is steps.{name}.output and steps.{name}.state"
        if path.parts[1] == "output" and len(path.parts) > 2 and not target.for_each:
            return self._output_fault(path, target)
        return None

    def _output_fault(self, path: Path, target: Step) -> str | None:
        if target.group is not None:
            fields = target.group.output if isinstance(target.group.output, Mapping) else None
        else:
            entry = self.catalog.agents.get(target.target or "") or self.catalog.tools.get(target.target or "")
            schema = _resolve(entry.output_schema, entry.output_schema) if entry else {}
            fields = schema.get("properties") if schema.get("additionalProperties") is not True else None
        if not fields or path.parts[2] in fields:
            return None
        return f"{path}: the output of {target.id!r} has no {path.parts[2]!r}{nearest(path.parts[2], fields)}"

    def _all_models(self) -> set[str]:
        names = {step.agent for step in _all_steps(self.spec.steps) if step.agent}
        agents = [self.catalog.agents[name] for name in names if name in self.catalog.agents]
        return {model for agent in agents if not agent.python for model in self.catalog.models_of(agent)}

    def _pivot(self) -> Iterator[Fault]:
        effects = {step.id: self._worst(step) for step in self.spec.steps}
        pivots = [step for step in self.spec.steps if Effect.PIVOT in effects[step.id]]
        if not pivots:
            return
        order = Graph(self.spec.steps)
        pivot = pivots[0]
        here = f"steps[{self.spec.steps.index(pivot)}]"
        for other in pivots[1:]:
            yield Fault(f"steps[{self.spec.steps.index(other)}]", f"{pivot.id!r} is the pivot already; a task has one")
        if any(step.for_each for step in _all_steps([pivot])):
            yield Fault(here, "a pivot cannot stand under for_each: it would be several points of no return")
        ancestors = order.ancestors(pivot.id)
        for step in self.spec.steps:
            if step is pivot or Effect.COMPENSATABLE not in effects[step.id] or step.id in ancestors:
                continue
            after = pivot.id in order.ancestors(step.id)
            why = "comes after" if after else "may still run beside"
            yield Fault(here, f"{step.id!r} can be undone and {why} the pivot {pivot.id!r}; the pivot must need it")

    def _worst(self, step: Step) -> set[Effect]:
        if step.group is not None:
            return set().union(*(self._worst(child) for child in step.group.steps))
        found: set[Effect] = set()
        for name, _ in self._targets(step, ""):
            entry = self.catalog.agents.get(name) or self.catalog.tools.get(name)
            if entry is not None:
                found.add(step.effect or (Effect.COMPENSATABLE if step.compensate else entry.effect))
            if isinstance(entry, AgentEntry):
                found |= {self.catalog.tools[tool].effect for tool in entry.tools if tool in self.catalog.tools}
        return found


def _all_steps(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        if step.group is not None:
            yield from _all_steps(step.group.steps)


def _inside(step: Step) -> Iterator[Step]:
    yield from _all_steps(step.group.steps if step.group else ())


def _ids(step: Step) -> set[str]:
    return {child.id for child in step.group.steps} if step.group else set()


def _join(path: str, parts: Iterable[Any]) -> str:
    for part in parts:
        path = f"{path}[{part}]" if isinstance(part, int) else f"{path}.{part}" if path else str(part)
    return path


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        resolved: Mapping[str, Any] = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        return resolved
    return schema


def _schema_message(error: jsonschema.ValidationError) -> str:
    if error.validator == "required":
        return error.message.replace("is a required property", "is missing")
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        extra = sorted(set(error.instance) - set(_properties(error)))
        return " ".join(f"there is no {name!r}{nearest(name, _properties(error))}" for name in extra)
    return error.message if len(error.message) <= 200 else f"{error.message[:197]}..."


def _properties(error: jsonschema.ValidationError) -> Mapping[str, Any]:
    found = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
