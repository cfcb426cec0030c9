"""What the expressions of a task may read, depending on where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from ..errors import ExpressionError, Fault
from ..expressions.expression import SCOPE, Path, compile_expression
from ..names import nearest
from .catalog import AgentEntry, Catalog, ToolEntry
from .graph import Place, every_step
from .json_schema import fields_of, join, resolve
from .leftovers import bare_leftovers
from .task_spec import Step, TaskSpec
from .teams.pattern import DIFFICULTY

_ROOTS = ("task", "steps", "facts", "feedback")
_RULE_ROOTS = ("output", "input")
_ITEM_ROOTS = ("item", "index")
_WITHOUT_PARTS = {
    "string": "text",
    "number": "a number",
    "integer": "a number",
    "boolean": "true or false",
    "null": "null",
}
_OF_THE_PLAN = ("for_each", "key", "after", "frozen", "agent", "tool")
"""What is read when a plan is checked, before anything of it is done."""


@dataclass(frozen=True, slots=True)
class ReadScope:
    """Where a step stands.

    Attributes:
        steps: The steps that can be read, by id.
        listed: The innermost group around it that runs for each item of a list; None where there is none.
        planned: Whether such a list is a plan, whose items come after each other.
        groups: Ids of the groups around it.
    """

    steps: Mapping[str, Step]
    listed: Step | None = None
    planned: bool = False
    groups: tuple[str, ...] = ()

    def inside(self, group: Step) -> ReadScope:
        """Returns the room of the steps inside `group`."""
        assert group.group is not None
        return ReadScope(
            steps={**self.steps, **{step.id: step for step in group.group.steps}},
            listed=self.listed if group.for_each is None else group,
            planned=self.planned or group.after is not None,
            groups=(*self.groups, group.id),
        )


class ReferenceCheck:
    """Finds what expressions read in vain."""

    def __init__(self, spec: TaskSpec, catalog: Catalog) -> None:
        """Prepares the check of one spec.

        Args:
            spec: The spec.
            catalog: Tells what the outputs of steps look like.
        """
        self._catalog = catalog
        self._input = spec.input
        self._task_fields = fields_of(spec.input)
        self._output = spec.output
        self._group_of = {
            inner.id: step.id
            for step in every_step(spec.steps)
            if step.group is not None
            for inner in step.group.steps
        }

    def faults(self, place: Place, here: str, room: ReadScope, step: Step | None) -> Iterator[Fault]:
        """Yields the faults of one expression.

        Args:
            place: The expression and where it stands in its step.
            here: Path of the step; empty for the task itself.
            room: Where the step stands.
            step: The step, or None for the task itself.
        """
        where = join(here, [place.path])
        try:
            paths = compile_expression(place.source).paths
        except ExpressionError as error:
            meant = self._meant(error.unknown, room)
            known = nearest(error.unknown, SCOPE) if meant else ""
            yield Fault(where, f"{str(error).removesuffix(known)}{meant}{bare_leftovers(place.source)}")
            return
        if place.scope == "group" and step is not None and step.group is not None:
            room = replace(room, steps={**room.steps, **{inner.id: inner for inner in step.group.steps}})
        for path in paths:
            message = self._fault(path, place, room, step)
            if message:
                yield Fault(where, message)

    def _fault(self, path: Path, place: Place, room: ReadScope, step: Step | None) -> str | None:
        if path.root in _ITEM_ROOTS:
            own = step is not None and step.for_each is not None and place.scope != "once"
            listed = step if own else room.listed
            if listed is None:
                return f"{path} can be read under for_each only"
            return self._item_fault(path, listed, room) if path.root == "item" else None
        if path.root == "done":
            own = step is not None and step.after is not None
            if own and place.path in _OF_THE_PLAN and not room.planned:
                return f"{path} cannot be read here: a plan is read before anything of it is done"
            return None if own or room.planned else f"{path} can be read in a step with after only"
        if path.root == "input" and place.scope in ("guard", "team"):
            return self._own_fault(path, step) if place.scope == "guard" else None
        if path.root == DIFFICULTY and place.scope == "team":
            return None
        if path.root in _RULE_ROOTS:
            if place.scope != "rule":
                return f"{path} can be read in a validation only"
            return self._own_fault(path, step)
        if path.root == "event":
            return None if place.scope == "event" else f"{path} can be read in wait.where only"
        if path.root not in _ROOTS:
            return f"{path} cannot be read here{self._meant(path.root, room)}"
        if path.root == "task":
            return misread(path, self._input, 0, "the task's input")
        if path.root == "steps":
            return self._step_fault(path, place, room, step)
        return None

    def _meant(self, name: str, room: ReadScope) -> str:
        """Says how a name is read that stands without the word before it, e.g. `sku` for `task.sku`."""
        if not name:
            return ""
        if name in room.steps:
            return f"; a step is read as steps.{name}.output"
        if name in (self._task_fields or ()):
            return f"; the task's input is read as task.{name}"
        if get_close_matches(name, SCOPE, n=1, cutoff=0.75):
            return ""
        near = get_close_matches(name, list(self._task_fields or ()), n=1, cutoff=0.5)
        if near:
            return f"; did you mean task.{near[0]}?"
        anything = self._task_fields is None
        return f"; if it is part of the task's input, write task.{name}" if anything else ""

    def _step_fault(self, path: Path, place: Place, room: ReadScope, step: Step | None) -> str | None:
        if not path.parts:
            return "steps alone cannot be read; name one, e.g. steps.ID.output"
        name = str(path.parts[0])
        if step is not None and name == step.id:
            return f"{path}: a step cannot read itself" + ("; write output" if place.scope == "rule" else "")
        if name in room.groups:
            return f"{path}: the group {name!r} has no output before the steps inside it have ended"
        target = room.steps.get(name)
        if target is None:
            if name in self._group_of:
                return (
                    f"{path}: {name!r} is inside the group {self._group_of[name]!r}; read the group's output"
                )
            others = [other for other in room.steps if step is None or other != step.id]
            return f"{path}: there is no step {name!r}{nearest(name, others)}"
        if len(path.parts) == 1 or path.parts[1] not in ("output", "state"):
            return f"{path}: of a step there is steps.{name}.output and steps.{name}.state"
        if path.parts[1] == "state" and len(path.parts) > 2:
            return f"{path}: the state of a step is text"
        depth = 2
        if len(path.parts) > depth and target.for_each is not None and path.parts[1] == "output":
            if isinstance(path.parts[2], str):
                return f"{path}: {_is_a_list(path, depth, 'it has one output for each item')}"
            depth = 3
        return self._output_fault(path, target, depth) if len(path.parts) > depth else None

    def _item_fault(self, path: Path, listed: Step, room: ReadScope) -> str | None:
        """Follows a path into an item, where the list is one whose type is known."""
        try:
            sources = compile_expression(listed.for_each or "").paths
        except ExpressionError:
            return None  # it is told where the list is read
        source = sources[0] if len(sources) == 1 else None
        if source is None or str(source) != (listed.for_each or "").strip():
            return None
        schema = self._schema_of(source, room)
        for part in source.parts[1 if source.root == "task" else 2 :] if schema is not None else ():
            schema = _inner(schema, part)
        items = None if schema is None else _inner(schema, 0)
        return None if items is None else misread(path, items, 0, f"an item of {source}")

    def _schema_of(self, source: Path, room: ReadScope) -> Mapping[str, Any] | None:
        """Returns the schema of the task's input, or of the output of a step; None where it is not known."""
        if source.root == "task" and source.parts:
            return _inner(self._input, source.parts[0])
        target = room.steps.get(str(source.parts[0])) if source.root == "steps" and source.parts else None
        if target is None or target.for_each is not None or source.parts[1:2] != ("output",):
            return None
        entry = self._entry(target)
        return None if entry is None else entry.output_schema

    def _own_fault(self, path: Path, step: Step | None) -> str | None:
        """Follows a path into the input or the output that validations of a step, or of the task, look at."""
        if not path.parts:
            return None
        if path.root == "output":
            if step is not None:
                return self._output_fault(path, step, 0)
            return _not_made(path, 0, self._output, "the task's output")
        if step is None:
            return misread(path, self._input, 0, "the task's input")
        entry = self._entry(step)
        return None if entry is None else misread(path, entry.input_schema, 0, f"the input of {step.id!r}")

    def _entry(self, step: Step) -> AgentEntry | ToolEntry | None:
        """Returns what a step calls; None where that is computed, or a group."""
        name = step.target or ""
        return self._catalog.agents.get(name) or self._catalog.tools.get(name)

    def _output_fault(self, path: Path, target: Step, depth: int) -> str | None:
        owner = f"the output of {target.id!r}"
        if target.group is None:
            entry = self._entry(target)
            return None if entry is None else misread(path, entry.output_schema, depth, owner)
        output = target.group.output
        made = dict.fromkeys(inner.id for inner in target.group.steps) if output is None else output
        return _not_made(path, depth, made, owner)


def misread(path: Path, schema: Mapping[str, Any], depth: int, owner: str) -> str | None:
    """Follows a path through a schema; says where it reads what the schema says is not there.

    Args:
        path: What is read.
        schema: JSON Schema of the value that the path goes into.
        depth: How many parts of the path lead to that value.
        owner: What messages call the value.

    Returns:
        What is wrong, or None.
    """
    part: Any = schema
    for at in range(depth, len(path.parts)):
        if not isinstance(part, Mapping):
            return None
        part, name = _beside_null({"$defs": schema.get("$defs", {}), **part}), path.parts[at]
        if part.get("type") in _WITHOUT_PARTS:
            where = owner if at == depth else str(Path(path.root, path.parts[:at]))
            return f"{path}: {where} is {_WITHOUT_PARTS[part['type']]}, and has no {name!r}"
        if part.get("type") == "array":
            if isinstance(name, str):
                return f"{path}: {_is_a_list(path, at)}"
            part = part.get("items")
            continue
        fields = fields_of(part)
        if fields is None:
            return None
        if name not in fields:
            where = owner if at == depth else str(Path(path.root, path.parts[:at]))
            return _no_field(path, where, name, fields)
        part = fields[str(name)]
    return None


def _not_made(path: Path, depth: int, template: Any, owner: str) -> str | None:
    """Says that a template makes no such field, where it is a mapping."""
    part = path.parts[depth]
    return (
        _no_field(path, owner, part, template)
        if isinstance(template, Mapping) and part not in template
        else None
    )


def _inner(schema: Mapping[str, Any] | None, part: str | int) -> Mapping[str, Any] | None:
    """Returns the schema of a field of an object, or of the items of a list; None where it is not known."""
    if schema is None:
        return None
    whole = _beside_null(schema)
    found = whole.get("items") if isinstance(part, int) else (fields_of(whole) or {}).get(str(part))
    return {"$defs": schema.get("$defs", {}), **found} if isinstance(found, Mapping) else None


def _beside_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what a schema stands for; where it allows null as well, what a value is that is not null."""
    whole = resolve(schema)
    others = [one for one in whole.get("anyOf", ()) if one != {"type": "null"}]
    if len(others) != 1 or not isinstance(others[0], Mapping):
        return whole
    return resolve({"$defs": schema.get("$defs", {}), **others[0]})


def _is_a_list(path: Path, depth: int, why: str = "") -> str:
    """Says how to read a field of the items of a list."""
    above = Path(path.root, path.parts[:depth])
    rest = str(Path("each", path.parts[depth:]))
    one = str(Path(path.root, (*path.parts[:depth], 0, *path.parts[depth:])))
    because = f": {why}" if why else ""
    return f"{above} is a list{because}; write {one} for its first item, or {above}.map(each, {rest}) for all"


def _no_field(path: Path, owner: str, part: str | int, fields: Iterable[str]) -> str:
    return f"{path}: {owner} has no {part!r}{nearest(str(part), fields)}"
