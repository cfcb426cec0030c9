"""The shape of a task: which step waits for which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .errors import ExpressionError
from .expression import compile_expression
from .spec import Step, Validation
from .template import expressions


class Place(NamedTuple):
    """One expression of a step.

    Attributes:
        path: Where it stands below the step, e.g. ``input.sku``.
        source: The expression.
        scope: ``once`` (before any item), ``item`` (with item and index) or ``rule`` (with output too).
    """

    path: str
    source: str
    scope: str


class Graph:
    """The steps of a task, or of one group, and their order.

    Attributes:
        steps: By id, in the order of the document.
        needs: For each step the steps of this graph that must have ended before it starts: those it
            names, and those its expressions read.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        """Derives the order; steps that exist nowhere in `steps` are left out (a checker names them)."""
        self.steps = {step.id: step for step in steps}
        self.needs = {
            step.id: tuple(name for name in dict.fromkeys(reads(step)) if name in self.steps and name != step.id)
            for step in steps
        }

    def ancestors(self, step_id: str) -> frozenset[str]:
        """Returns all steps that `step_id` waits for, directly or not."""
        found: set[str] = set()
        waiting = [*self.needs[step_id]]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.needs[name]
        return frozenset(found)

    def cycle(self) -> list[str] | None:
        """Returns the steps of one cycle in order, the first one again at the end, or None."""
        done: set[str] = set()
        for start in self.steps:
            trail: list[str] = []
            found = self._walk(start, trail, done)
            if found:
                return found
        return None

    def _walk(self, name: str, trail: list[str], done: set[str]) -> list[str] | None:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return None
        trail.append(name)
        for need in self.needs[name]:
            found = self._walk(need, trail, done)
            if found:
                return found
        trail.pop()
        done.add(name)
        return None


def reads(step: Step) -> Iterator[str]:
    """Yields the ids of the steps that `step` names or reads, those of a group's inside included."""
    yield from step.needs
    for place in places(step):
        try:
            paths = compile_expression(place.source).paths
        except ExpressionError:
            continue
        yield from (path.parts[0] for path in paths if path.root == "steps" and path.parts)
    for child in step.group.steps if step.group else ():
        yield from reads(child)


def places(step: Step) -> Iterator[Place]:
    """Yields every expression of a step, those inside its group excepted."""
    item = "item" if step.for_each else "once"
    if step.for_each:
        yield Place("for_each", step.for_each, "once")
    if step.when:
        yield Place("when", step.when, item)
    if step.target is not None:
        yield from (Place(path, source, item) for path, source in expressions(step.target, step.kind))
    yield from (Place(path, source, item) for path, source in expressions(step.input, "input"))
    if step.group is not None:
        yield from (Place(path, source, "group") for path, source in expressions(step.group.output, "group.output"))
    yield from validation_places(step.validate_)


def validation_places(validations: Sequence[Validation]) -> Iterator[Place]:
    """Yields the expressions of a ``validate`` list."""
    for index, validation in enumerate(validations):
        path = f"validate[{index}]"
        if validation.rule is not None:
            yield Place(f"{path}.rule", validation.rule, "rule")
            yield from (Place(p, s, "rule") for p, s in expressions(validation.message, f"{path}.message"))
        if validation.judge is not None:
            yield from (Place(p, s, "rule") for p, s in expressions(validation.judge.criteria, f"{path}.judge.criteria"))
