"""Finds before a task starts what its expressions would miss in the input that it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ExpressionError, Fault
from ..expressions.expression import Expression, compile_expression
from ..expressions.template import expressions
from .graph import Place, places, validation_places
from .json_schema import check_input, join
from .task_spec import Step, TaskSpec


class _Read(NamedTuple):
    """An expression that is certain to be evaluated: where it stands, and what can be read by then."""

    path: str
    source: str
    scope: Mapping[str, Any]


def check_task_input(spec: TaskSpec, value: Any) -> list[Fault]:
    """Checks the input of a task: against the spec's schema, and against what its expressions read.

    Only what is certain to fail is a fault. What stands behind a condition (a `when` that needs more than the
    input, `has()`, `? :`, `&&`, `||`, a loop, another way on after a failure) may never be read.

    Args:
        spec: A spec without faults.
        value: The input as JSON.

    Returns:
        Every fault, each once.
    """
    faults = check_input(spec.input, value)
    scope = {"task": {} if value is None else value}
    reads = [*_step_reads(spec.steps, "steps", scope)]
    reads += [_Read(path, source, scope) for path, source in expressions(spec.output, "output")]
    last = filter(_is_always_read, validation_places(spec.validate_))
    reads += [_Read(place.path, place.source, scope) for place in last]
    missing: dict[str, str] = {}
    others: list[Fault] = []
    for read in reads:
        expression = _compiled(read.source)
        if expression is None:
            continue
        error = _error(expression, read.scope)
        lacks = expression.lacks(read.scope) if expression.is_plain else []
        for text in lacks:
            missing.setdefault(text, read.path)
        if error and not lacks:
            others.append(Fault(read.path, error))
    told = " ".join(fault.message for fault in faults if fault.path == "input")
    for text, path in missing.items():
        if f"{_name(text)!r} is missing" not in told:
            faults.append(Fault("input", f"{text}, and {path} reads it"))
    return [*faults, *dict.fromkeys(others)]


def _step_reads(steps: Sequence[Step], path: str, scope: Mapping[str, Any]) -> Iterator[_Read]:
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        if any(trouble != "rollback" for trouble in step.troubles):
            continue  # its failure need not be the end of the task
        if step.for_each is not None:
            yield _Read(f"{here}.for_each", step.for_each, scope)
        within = _first_item(step, scope)
        if within is None:
            continue
        if step.when is not None:
            yield _Read(f"{here}.when", step.when, within)
            if _value(step.when, within) is not True:
                continue
        for place in places(step):
            if place.path not in ("for_each", "when") and _is_always_read(place):
                yield _Read(join(here, [place.path]), place.source, within)
        if step.group is not None:
            yield from _step_reads(step.group.steps, f"{here}.group.steps", within)


def _is_always_read(place: Place) -> bool:
    """An event may never come, and the message of a rule is for those who break it."""
    return place.scope != "event" and not (
        place.scope in ("rule", "guard") and place.path.endswith(".message")
    )


def _first_item(step: Step, scope: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns what the first item of a step can read; None where the step may have no items."""
    if step.for_each is None:
        return scope
    items = _value(step.for_each, scope)
    return {**scope, "item": items[0], "index": 0} if isinstance(items, list) and items else None


def _value(source: str, scope: Mapping[str, Any]) -> Any:
    """Returns the value of an expression; None where it needs more than the scope has, or fails."""
    expression = _compiled(source)
    if expression is None or not _needs_only(expression, scope):
        return None
    try:
        return expression.evaluate(scope)
    except ExpressionError:
        return None


def _error(expression: Expression, scope: Mapping[str, Any]) -> str:
    """Returns why an expression fails; empty where it does not, or needs more than the scope has."""
    if not _needs_only(expression, scope):
        return ""
    try:
        expression.evaluate(scope)
    except ExpressionError as error:
        return str(error)
    return ""


def _needs_only(expression: Expression, scope: Mapping[str, Any]) -> bool:
    return all(path.root in scope for path in expression.paths)


def _compiled(source: str) -> Expression | None:
    try:
        return compile_expression(source)
    except ExpressionError:
        return None  # a fault of the spec, which its checker tells


def _name(text: str) -> str:
    return text.removeprefix("task.").removesuffix(" is missing")
