"""What the expressions of a task may read, depending on where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import ExpressionError, Fault
from ..expressions.expression import Path, compile_expression
from ..names import nearest
from .catalog import Catalog
from .graph import Place, every_step
from .json_schema import fields_of, join
from .task_spec import Step, TaskSpec

_ROOTS = ("task", "steps", "facts", "feedback")
_RULE_ROOTS = ("output", "input")
_ITEM_ROOTS = ("item", "index")


@dataclass(frozen=True, slots=True)
class ReadScope:
    """Where a step stands.

    Attributes:
        steps: The steps that can be read, by id.
        items: Whether a group around it runs for each item of a list.
        groups: Ids of the groups around it.
    """

    steps: Mapping[str, Step]
    items: bool = False
    groups: tuple[str, ...] = ()

    def inside(self, group: Step) -> ReadScope:
        """Returns the room of the steps inside `group`."""
        assert group.group is not None
        return ReadScope(
            steps={**self.steps, **{step.id: step for step in group.group.steps}},
            items=self.items or group.for_each is not None,
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
        self._task_fields = fields_of(spec.input)
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
            yield Fault(where, str(error))
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
            return None if own or room.items else f"{path} can be read under for_each only"
        if path.root in _RULE_ROOTS:
            return None if place.scope == "rule" else f"{path} can be read in a validation only"
        if path.root == "event":
            return None if place.scope == "event" else f"{path} can be read in wait.where only"
        if path.root not in _ROOTS:
            return f"{path} cannot be read here"
        fields = self._task_fields
        if path.root == "task" and path.parts and fields is not None and path.parts[0] not in fields:
            return _no_field(path, "the task's input", path.parts[0], fields)
        if path.root == "steps":
            return self._step_fault(path, place, room, step)
        return None

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
        if len(path.parts) > 2 and target.for_each is None:
            return self._output_fault(path, target)
        return None

    def _output_fault(self, path: Path, target: Step) -> str | None:
        fields = self._output_fields(target)
        part = path.parts[2]
        if fields is None or part in fields:
            return None
        return _no_field(path, f"the output of {target.id!r}", part, fields)

    def _output_fields(self, target: Step) -> Sequence[str] | None:
        if target.group is not None:
            output = target.group.output
            if output is None:
                return [inner.id for inner in target.group.steps]
            return list(output) if isinstance(output, Mapping) else None
        name = target.target or ""
        entry = self._catalog.agents.get(name) or self._catalog.tools.get(name)
        fields = fields_of(entry.output_schema) if entry is not None else None
        return None if fields is None else list(fields)


def _no_field(path: Path, owner: str, part: str | int, fields: Iterable[str]) -> str:
    return f"{path}: {owner} has no {part!r}{nearest(str(part), fields)}"
