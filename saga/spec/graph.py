"""The shape of a task: which step waits for which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import ExpressionError
from ..expressions.expression import compile_expression
from ..expressions.template import expressions
from .task_spec import Step
from .validation import Validation


class Place(NamedTuple):
    """One expression of a step.

    Attributes:
        path: Where it stands below the step, e.g. ``input.sku``.
        source: The expression.
        scope: ``once`` (before the step's own items), ``item`` (with its item and index), ``group`` (so too,
            and with the steps inside), ``event`` (so too, and with the event), ``rule`` (with output and
            input), ``guard`` (with input) or ``team`` (with input, and the difficulty).
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
            step.id: tuple(
                name for name in dict.fromkeys(reads(step)) if name in self.steps and name != step.id
            )
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

    def dependents(self, step_ids: Iterable[str]) -> frozenset[str]:
        """Returns these steps and all that wait for one of them, directly or not."""
        chosen = frozenset(step_ids)
        return chosen | {name for name in self.steps if self.ancestors(name) & chosen}

    def inside(self) -> dict[str, list[str]]:
        """Returns for each step of this graph its own id and those of the steps inside it."""
        return {step.id: [inner.id for inner in every_step([step])] for step in self.steps.values()}

    def readers_of_facts(self, names: Collection[str]) -> frozenset[str]:
        """Returns the steps in whose expressions, or in a group's inside, one of these facts is read."""
        return frozenset(step.id for step in self.steps.values() if facts_read(step) & {*names, ""})

    def cycles(self) -> list[list[str]]:
        """Returns cycles, each as its steps in order with the first one again at the end.

        Every step that waits for itself is, or waits for, a step of one of them.
        """
        found: list[list[str]] = []
        done: set[str] = set()
        for start in self.steps:
            trail: list[str] = []
            branches: list[Iterator[str]] = []
            name: str | None = start
            while name is not None or branches:
                if name is not None and name not in done and name not in trail:
                    trail.append(name)
                    branches.append(iter(self.needs[name]))
                elif name in trail:
                    found.append([*trail[trail.index(name) :], name])
                name = next(branches[-1], None) if branches else None
                if name is None and branches:
                    branches.pop()
                    done.add(trail.pop())
        return found


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """Yields steps and the steps inside them."""
    for step in steps:
        yield step
        if step.group is not None:
            yield from every_step(step.group.steps)


def targets(step: Step) -> Iterator[tuple[str, str]]:
    """Yields what a step may call, each as the key where it stands and the name of an agent or tool."""
    if step.target is None or step.workflow is not None:
        return
    if not any(expressions(step.target)):
        yield step.kind, step.target
        return
    for index, name in enumerate(step.one_of):
        yield f"one_of[{index}]", name


def reads(step: Step) -> Iterator[str]:
    """Yields the ids of the steps that `step` names or reads, those of a group's inside included."""
    yield from step.needs
    for place in places(step):
        try:
            paths = compile_expression(place.source).paths
        except ExpressionError:
            continue
        yield from (str(path.parts[0]) for path in paths if path.root == "steps" and path.parts)
    for child in step.group.steps if step.group else ():
        yield from reads(child)


def facts_read(step: Step) -> frozenset[str]:
    """Returns the names of the facts that a step reads, its inside included; an empty one stands for all."""
    sources = [place.source for inner in every_step([step]) for place in places(inner)]
    paths = [path for source in sources for path in compile_expression(source).paths if path.root == "facts"]
    return frozenset(str(path.parts[0]) if path.parts else "" for path in paths)


class Template(NamedTuple):
    """One template of a step: a JSON value with holes; `path` and `scope` as those of a `Place`."""

    path: str
    value: Any
    scope: str


def places(step: Step) -> Iterator[Place]:
    """Yields every expression of a step, those inside its group excepted."""
    if step.for_each is not None:
        yield Place("for_each", step.for_each, "once")
    for key in ("key", "after", "frozen"):
        source = getattr(step, key)
        if source is not None:
            yield Place(key, source, "item")
    if step.when is not None:
        yield Place("when", step.when, "item")
    if step.precondition is not None:
        yield Place("precondition", step.precondition, "item")
    for template in templates(step):
        yield from _places_in(template)
    if step.approve is not None and step.approve.show is not None:
        yield Place("approve.show", step.approve.show, "item")
    if step.approve is not None and step.approve.not_by is not None:
        yield Place("approve.not_by", step.approve.not_by, "item")
    for key, escalation in step.escalations:
        if escalation.not_by is not None:
            yield Place(f"{key}.escalate.not_by", escalation.not_by, "item")
    if step.wait is not None and step.wait.where is not None:
        yield Place("wait.where", step.wait.where, "event")
    if step.team is not None:
        for path, source in step.team.effort().items():
            yield Place(f"team.{path}", source, "team")
    yield from validation_places(step.guard, "guard")
    yield from validation_places(step.validate_)


def templates(step: Step) -> Iterator[Template]:
    """Yields every template of a step, those of its validations and inside its group excepted."""
    if step.target is not None:
        yield Template(step.kind, step.target, "item")
    yield Template("input", step.input, "item")
    if step.group is not None:
        yield Template("group.output", step.group.output, "group")
    if step.approve is not None:
        yield Template("approve.ask", step.approve.ask, "item")
    if step.wait is not None:
        yield Template("wait.event", step.wait.event, "item")


def validation_places(validations: Sequence[Validation], key: str = "validate") -> Iterator[Place]:
    """Yields the expressions of a ``validate`` list, or of a ``guard``."""
    for index, validation in enumerate(validations):
        if validation.rule is not None:
            yield Place(f"{key}[{index}].rule", validation.rule, _scope_of(key))
    for template in validation_templates(validations, key):
        yield from _places_in(template)


def validation_templates(validations: Sequence[Validation], key: str = "validate") -> Iterator[Template]:
    """Yields the templates of a ``validate`` list, or of a ``guard``."""
    for index, validation in enumerate(validations):
        if validation.rule is not None:
            yield Template(f"{key}[{index}].message", validation.message, _scope_of(key))
        if validation.judge is not None:
            yield Template(f"{key}[{index}].judge.criteria", validation.judge.criteria, _scope_of(key))


def _scope_of(key: str) -> str:
    return "rule" if key == "validate" else "guard"


def _places_in(template: Template) -> Iterator[Place]:
    found = expressions(template.value, template.path)
    return (Place(where, source, template.scope) for where, source in found)
