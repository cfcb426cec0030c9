"""Finds what reads the output of a step that may be skipped, without asking first.

That is a warning and not a fault: the task completes as long as the step is not skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import ExpressionError, Fault
from ..expressions.expression import Expression, compile_expression
from ..expressions.template import expressions
from .graph import every_step, places, validation_places
from .json_schema import join
from .task_spec import Step, TaskSpec

_OF_ITEMS = ("item", "index", "done")


def warnings_of(spec: TaskSpec) -> list[Fault]:
    """Returns the expressions of a task that fail if a step is skipped.

    An expression with a condition in it (`has()`, `? :`, `&&`, `||`, `null`) counts as one that asks first,
    and so does a step whose `when` reads the other step, or is the same.

    Args:
        spec: A spec without faults.
    """
    skippable = {step.id: step for step in every_step(spec.steps) if _may_be_skipped(step)}
    if not skippable:
        return []
    found = [*_of_steps(spec.steps, "steps", skippable, ())]
    for path, source in expressions(spec.output, "output"):
        found += _of(path, source, skippable, ())
    for place in validation_places(spec.validate_):
        found += _of(place.path, place.source, skippable, ())
    return list(dict.fromkeys(found))


def _of_steps(
    steps: Sequence[Step], path: str, skippable: dict[str, Step], conditions: tuple[str, ...]
) -> Iterator[Fault]:
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        asked = conditions if step.when is None else (*conditions, step.when)
        if "skip" in step.troubles:
            continue  # it is skipped too
        for place in places(step):
            yield from _of(join(here, [place.path]), place.source, skippable, asked)
        if step.group is not None:
            yield from _of_steps(step.group.steps, f"{here}.group.steps", skippable, asked)


def _of(path: str, source: str, skippable: dict[str, Step], conditions: tuple[str, ...]) -> Iterator[Fault]:
    expression = _compiled(source)
    if expression is None or expression.is_conditional:
        return
    for read in expression.paths:
        if read.root != "steps" or len(read.parts) < 2 or read.parts[1] != "output":
            continue
        name = str(read.parts[0])
        if name not in skippable or any(_asks(when, skippable[name]) for when in conditions):
            continue
        yield Fault(
            path,
            f"{read} is null where {name!r} is skipped, and then this fails; ask first, for example "
            f"${{{{ steps.{name}.state == 'completed' ? {read} : null }}}}",
        )


def _may_be_skipped(step: Step) -> bool:
    """Returns whether the whole output of a step may be null; of one with items only some of them may be."""
    if step.for_each is None:
        return step.when not in (None, "true") or "skip" in step.troubles
    when = None if step.when is None else _compiled(step.when)
    return when is not None and not any(path.root in _OF_ITEMS for path in when.paths)


def _asks(when: str, step: Step) -> bool:
    expression = _compiled(when)
    reads = expression.paths if expression is not None else ()
    return when == step.when or any(read.root == "steps" and read.parts[:1] == (step.id,) for read in reads)


def _compiled(source: str) -> Expression | None:
    try:
        return compile_expression(source)
    except ExpressionError:
        return None
