"""Finds the faults of approvals before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...effect import Effect
from ...errors import ExpressionError, Fault
from ...expressions.expression import compile_expression, told_where
from ...expressions.template import expressions
from ...names import nearest
from ..approval import APPROVAL_READS, SHOWN, Approval, ToolApproval
from ..catalog import Catalog, ToolEntry
from ..graph import targets
from ..leftovers import template_leftovers
from ..references import misread
from ..task_spec import Step
from .other_kind import unknown


def approval_faults(
    approval: Approval, tool: ToolEntry, catalog: Catalog, path: str, task_input: Mapping[str, Any] | None
) -> Iterator[Fault]:
    """Yields what is wrong with the approval of one tool.

    Args:
        approval: The approval.
        tool: Whose calls it is for.
        catalog: Has the tool that reads `before`.
        path: Where the approval stands.
        task_input: JSON Schema of the task's input; None where it may be any task's.
    """
    sources = [] if approval.when is None else [(f"{path}.when", approval.when)]
    sources += [] if approval.not_by is None else [(f"{path}.not_by", approval.not_by)]
    sources += expressions(approval.ask, f"{path}.ask")
    for where, source in sources:
        yield from _expression_faults(source, where, APPROVAL_READS, tool, catalog, task_input)
    if isinstance(approval.always, str):
        allowed = (*APPROVAL_READS, SHOWN)
        yield from _expression_faults(approval.always, f"{path}.always", allowed, tool, catalog, task_input)
    yield from template_leftovers(approval.ask, f"{path}.ask")
    if approval.always and tool.effect is Effect.PIVOT:
        yield Fault(f"{path}.always", f"{tool.name} is a pivot, which a task calls once; leave always out")


def spec_approval_faults(
    approvals: Sequence[ToolApproval],
    steps: Iterable[Step],
    catalog: Catalog,
    here: str,
    task_input: Mapping[str, Any],
) -> Iterator[Fault]:
    """Yields what is wrong with the approvals that a step, or the whole task, demands.

    Args:
        approvals: What it demands.
        steps: The steps that they are for.
        catalog: What the worker offers.
        here: Path of the step; empty for the task itself.
        task_input: JSON Schema of the task's input.
    """
    callable_ = tools_of(steps, catalog) if approvals else set()
    for index, approval in enumerate(approvals):
        path = f"{here}.approvals[{index}]" if here else f"approvals[{index}]"
        tool = catalog.tools.get(approval.tool)
        if tool is None:
            yield Fault(f"{path}.tool", unknown("tool", approval.tool, catalog.tools, catalog))
            continue
        if tool.name not in callable_:
            where = "this step" if here else "this task"
            yield Fault(f"{path}.tool", f"{where} does not call {tool.name}{nearest(tool.name, callable_)}")
        yield from approval_faults(approval, tool, catalog, path, task_input)


def tools_of(steps: Iterable[Step], catalog: Catalog) -> set[str]:
    """Returns the tools that steps, their agents, groups and registered children may call."""
    found: set[str] = set()
    waiting, seen = list(steps), set[str]()
    while waiting:
        step = waiting.pop()
        waiting += step.group.steps if step.group is not None else ()
        if step.workflow in catalog.tasks and step.workflow not in seen:
            seen.add(step.workflow)
            waiting += catalog.tasks[step.workflow].steps
        for name in (*(name for _, name in targets(step)), *step.fallbacks, *step.rules):
            inside = catalog.with_others([name]).values()
            found |= {name} if name in catalog.tools else {other for e in inside for other in e.others}
    return found


def _expression_faults(
    source: str,
    where: str,
    allowed: Sequence[str],
    tool: ToolEntry,
    catalog: Catalog,
    task_input: Mapping[str, Any] | None,
) -> Iterator[Fault]:
    try:
        paths = compile_expression(source).paths
    except ExpressionError as error:
        yield Fault(where, told_where(error, allowed))
        return
    before = catalog.tools.get(tool.before or "")
    schemas: dict[str, tuple[Mapping[str, Any], str]] = {
        "arguments": (tool.input_schema, f"{tool.name}"),
        SHOWN: (tool.input_schema, f"{tool.name}"),
        "before": ({} if before is None else before.output_schema, "what was read before"),
        "task": (task_input or {}, "the task's input"),
    }
    for path in paths:
        if path.root not in allowed:
            yield Fault(where, f"{path} cannot be read here; there are {', '.join(allowed)}")
        elif path.root == "before" and tool.before is None:
            yield Fault(where, f"{tool.name} reads nothing before it is called; give it before=")
        elif path.root in schemas:
            schema, owner = schemas[path.root]
            misreads = misread(path, schema, 0, owner)
            if misreads is not None:
                yield Fault(where, misreads)
