"""Specs that are a little shorter than a given one, and still make sense."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...saga.errors import ExpressionError
from ...saga.expressions.expression import compile_expression
from ...saga.expressions.template import expressions, render
from ...saga.spec.graph import every_step
from ...saga.spec.task_spec import Step, TaskSpec

Variables = Mapping[str, Any]
"""What expressions of the task have seen in a clean run."""

_OPTIONAL: Mapping[str, Any] = {
    "when": None,
    "guard": (),
    "validate_": (),
    "on_failure": "rollback",
    "on_reject": None,
    "retry": None,
    "max_parallel": None,
}


def only_step(spec: TaskSpec, step_id: str, seen: Variables) -> TaskSpec:
    """Returns a spec of one step, with values of a clean run where it reads others."""
    for other in spec.steps:
        if other.id != step_id:
            spec = without_step(spec, other.id, seen)
    return bare(spec)


def bare(spec: TaskSpec) -> TaskSpec:
    """Returns a spec without output and checks of its own."""
    return spec.model_copy(update={"output": None, "validate_": ()})


def smaller(spec: TaskSpec, seen: Variables) -> Iterator[TaskSpec]:
    """Yields specs that lack one thing: a step, items, a need, or an option; the larger things first."""
    steps = list(every_step(spec.steps))
    for step in reversed(steps):
        yield without_step(spec, step.id, seen)
    for step in steps:
        if step.for_each is not None:
            yield from _fewer_items(spec, step, seen)
    for step in steps:
        for need in step.needs:
            needs = tuple(name for name in step.needs if name != need)
            yield _changed(spec, step.id, {"needs": needs})
    for step in steps:
        for name, default in _OPTIONAL.items():
            if getattr(step, name) != default:
                yield _changed(spec, step.id, {name: default})


def without_step(spec: TaskSpec, step_id: str, seen: Variables) -> TaskSpec:
    """Returns a spec without a step, with values of a clean run where others read it."""

    def cut(steps: Sequence[Step]) -> tuple[Step, ...]:
        left = (step for step in steps if step.id != step_id)
        return tuple(_cut_off(step, step_id, seen, cut) for step in left)

    return spec.model_copy(update={"steps": cut(spec.steps)})


def _cut_off(
    step: Step, gone: str, seen: Variables, cut: Callable[[Sequence[Step]], tuple[Step, ...]]
) -> Step:
    changes: dict[str, Any] = {
        "needs": tuple(name for name in step.needs if name != gone),
        "input": _frozen(step.input, gone, seen),
        "guard": tuple(v for v in step.guard if v.rule is None or not _reads(v.rule, gone)),
        "validate_": tuple(v for v in step.validate_ if v.rule is None or not _reads(v.rule, gone)),
    }
    if step.when is not None and _reads(step.when, gone):
        changes["when"] = None
    if step.for_each is not None and _reads(step.for_each, gone):
        changes["for_each"] = _literal(step.for_each, seen) or step.for_each
    if step.group is not None:
        inner = cut(step.group.steps)
        changes["group"] = step.group.model_copy(update={"steps": inner, "output": None})
    return step.model_copy(update=changes)


def _fewer_items(spec: TaskSpec, step: Step, seen: Variables) -> Iterator[TaskSpec]:
    assert step.for_each is not None
    items = json.loads(_literal(step.for_each, seen) or "[]")
    if len(items) > 1:
        yield _changed(spec, step.id, {"for_each": json.dumps(items[:1])})
        yield _changed(spec, step.id, {"for_each": json.dumps(items[:-1])})


def _changed(spec: TaskSpec, step_id: str, changes: Mapping[str, Any]) -> TaskSpec:
    def change(steps: Sequence[Step]) -> tuple[Step, ...]:
        return tuple(map(one, steps))

    def one(step: Step) -> Step:
        if step.group is not None:
            inner = step.group.model_copy(update={"steps": change(step.group.steps)})
            step = step.model_copy(update={"group": inner})
        return step.model_copy(update=changes) if step.id == step_id else step

    return spec.model_copy(update={"steps": change(spec.steps)})


def _frozen(value: Any, gone: str, seen: Variables) -> Any:
    """Returns a template in which nothing reads a step that is gone."""
    if isinstance(value, Mapping):
        return {name: _frozen(part, gone, seen) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_frozen(part, gone, seen) for part in value]
    if not any(_reads(source, gone) for _, source in expressions(value)):
        return value
    try:
        return render(value, seen)
    except ExpressionError:
        return value  # it reads an item as well; the checker will refuse this spec


def _literal(source: str, seen: Variables) -> str | None:
    try:
        return json.dumps(compile_expression(source).evaluate(seen))
    except ExpressionError:
        return None


def _reads(source: str, step_id: str) -> bool:
    try:
        paths = compile_expression(source).paths
    except ExpressionError:
        return False
    return any(path.root == "steps" and path.parts[:1] == (step_id,) for path in paths)
