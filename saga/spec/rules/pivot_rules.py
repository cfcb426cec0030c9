"""The order around a task's point of no return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import ValidationError

from ...effect import Effect
from ...errors import Fault
from ..catalog import AgentEntry, Catalog
from ..graph import Graph, every_step, targets
from ..task_spec import Step, TaskSpec
from .tool_rules import catalog_in

_BRINGS: Final = "AgentTask"
"""The workflow type that runs whatever task its input brings or names."""


def pivot_faults(spec: TaskSpec, catalog: Catalog) -> Iterator[Fault]:
    """Yields what is wrong around the pivot of a task.

    There is one pivot at most, it is not repeated, and whatever can be undone comes before it: what comes
    later, or may still run beside it, could fail when it is too late to undo the rest.
    """
    yield from _agent_faults(spec.steps, catalog, "steps")
    yield from _brought_faults(spec.steps, catalog, "steps")
    steps = [_told(step, catalog) for step in spec.steps]
    pivots = list(_pivots(steps, catalog, "steps", looped=False))
    if not pivots:
        return
    first, _ = pivots[0]
    for step, (path, looped) in pivots:
        if step is not first:
            yield Fault(path, f"{first.id!r} is the pivot already; a task has one")
        if looped:
            yield Fault(path, "a pivot cannot stand under for_each: it would be several points of no return")
    yield from _order_faults(steps, first, pivots[0][1][0], catalog)


def effects_of(step: Step, catalog: Catalog) -> set[Effect]:
    """Returns every effect that a step may have, by whatever it may call."""
    if step.group is not None:
        return set().union(*(effects_of(inner, catalog) for inner in step.group.steps))
    if step.workflow is not None:
        return _effects_of_child(step, step.workflow, catalog)
    found: set[Effect] = set()
    here = catalog_in(step, catalog)
    called = [(name, here) for _, name in targets(step)] + [(name, catalog) for name in step.fallbacks]
    for name, known in called:
        entry = known.agents.get(name) or known.tools.get(name)
        if entry is not None:
            found.add(step.effect or (Effect.COMPENSATABLE if step.compensate else entry.effect))
        if isinstance(entry, AgentEntry):
            inside = known.with_others([name])
            found |= {other.effect for other in inside.values() if other is not entry}
            tools = [tool for other in inside.values() for tool in other.others if tool in catalog.tools]
            found |= {catalog.tools[tool].effect for tool in tools}
    return found


def child_cycle(name: str, catalog: Catalog) -> list[str]:
    """Returns the tasks by which a task would start itself, in order; empty where it does not."""
    trails = [[name]]
    while trails:
        trail = trails.pop()
        for child in child_tasks(catalog.tasks[trail[-1]], catalog):
            if child in trail:
                return [*trail[trail.index(child) :], child]
            trails.append([*trail, child])
    return []


def child_tasks(spec: TaskSpec, catalog: Catalog) -> list[str]:
    """Returns the registered tasks that a task starts as its children."""
    names = [step.workflow for step in every_step(spec.steps) if step.workflow in catalog.tasks]
    return list(dict.fromkeys(name for name in names if name is not None))


def _effects_of_child(step: Step, name: str, catalog: Catalog) -> set[Effect]:
    """A child with a pivot is one; what it undoes before that is its own affair."""
    if step.effect is not None:
        return {step.effect}
    spec = catalog.tasks.get(name)
    if spec is None or child_cycle(name, catalog):
        return {Effect.COMPENSATABLE}
    inside = set().union(*(effects_of(inner, catalog) for inner in spec.steps))
    return {Effect.PIVOT} if Effect.PIVOT in inside else inside


def _agent_faults(steps: Sequence[Step], catalog: Catalog, path: str) -> Iterator[Fault]:
    """Yields the faults of agents that may choose the pivot: the step has to say that it may be one."""
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        if step.group is not None:
            yield from _agent_faults(step.group.steps, catalog, f"{here}.group.steps")
        for name in dict.fromkeys(name for _, name in targets(step)):
            agent = catalog_in(step, catalog).agents.get(name)
            pivot = _pivot_of(agent, catalog)
            if pivot is not None and step.effect is not Effect.PIVOT:
                yield Fault(here, f"{name} may call the pivot {pivot}; say effect: pivot")
            elif agent is not None and agent.asks_models and step.effect is Effect.PIVOT and pivot is None:
                yield Fault(f"{here}.effect", f"{name} has no pivot among its tools; leave effect out")
        for name in step.fallbacks:
            pivot = _pivot_of(catalog.agents.get(name), catalog)
            if pivot is not None:
                yield Fault(here, f"the fallback {name} may call the pivot {pivot}; a fallback cannot be one")


def _brought_faults(steps: Sequence[Step], catalog: Catalog, path: str) -> Iterator[Fault]:
    """Yields the faults of children whose task the step brings or names: the step has to say that it is one.

    The workers of the child refuse it as well, which comes when a part of the task has been done already.
    """
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        if step.group is not None:
            yield from _brought_faults(step.group.steps, catalog, f"{here}.group.steps")
        pivot = _brought_pivot(step, catalog)
        if pivot is not None and step.effect is not Effect.PIVOT:
            yield Fault(here, f"its child has the pivot {pivot!r}; say effect: pivot")
        name, brought = _brought(step, catalog)
        if brought is not None and not name:
            for fault in pivot_faults(brought, catalog):
                yield Fault(f"{here}.input.spec.{fault.path}", fault.message)


def _brought(step: Step, catalog: Catalog) -> tuple[str, TaskSpec | None]:
    """Returns the name and the spec of the task that a step brings, as far as both are written down in it."""
    if step.workflow != _BRINGS or not isinstance(step.input, Mapping):
        return "", None
    name = step.input.get("task")
    if isinstance(name, str):
        return name, catalog.tasks.get(name)
    try:
        return "", TaskSpec.model_validate(step.input.get("spec"))
    except ValidationError:
        return "", None  # an expression makes it, or the child tells its faults


def _brought_pivot(step: Step, catalog: Catalog, trail: tuple[str, ...] = ()) -> str | None:
    """Returns the id of the pivot in the task that a step brings, however deep; None where there is none."""
    name, spec = _brought(step, catalog)
    if spec is None or name in trail:
        return None
    for inner in every_step(spec.steps):
        if inner.group is None and Effect.PIVOT in effects_of(inner, catalog):
            return inner.id
        if _brought_pivot(inner, catalog, (*trail, name) if name else trail) is not None:
            return inner.id
    return None


def _told(step: Step, catalog: Catalog) -> Step:
    """Returns a step that says what its children are, so that what follows from it is told at once."""
    if step.group is not None:
        steps = tuple(_told(inner, catalog) for inner in step.group.steps)
        return step.model_copy(update={"group": step.group.model_copy(update={"steps": steps})})
    if _brought_pivot(step, catalog) is None:
        return step
    return step.model_copy(update={"effect": Effect.PIVOT})


def _pivot_of(agent: AgentEntry | None, catalog: Catalog) -> str | None:
    tools = () if agent is None else agent.tools
    return next(
        (name for name in tools if name in catalog.tools and catalog.tools[name].effect is Effect.PIVOT), None
    )


def _pivots(
    steps: Sequence[Step], catalog: Catalog, path: str, *, looped: bool
) -> Iterator[tuple[Step, tuple[str, bool]]]:
    for index, step in enumerate(steps):
        # A plan with several pivots is refused when it is made.
        here, inside = f"{path}[{index}]", looped or (step.for_each is not None and step.key is None)
        if step.group is not None:
            yield from _pivots(step.group.steps, catalog, f"{here}.group.steps", looped=inside)
        elif Effect.PIVOT in effects_of(step, catalog):
            yield step, (here, inside)


def _order_faults(steps: Sequence[Step], pivot: Step, path: str, catalog: Catalog) -> Iterator[Fault]:
    graph = Graph(steps)
    holder = next(step for step in steps if step is pivot or _holds(step, pivot))
    before = graph.ancestors(holder.id)
    for step in steps:
        if step is holder or step.id in before or Effect.COMPENSATABLE not in effects_of(step, catalog):
            continue
        why = "comes after" if holder.id in graph.ancestors(step.id) else "may still run beside"
        message = f"{step.id!r} can be undone and {why} the pivot {pivot.id!r}; the pivot must need it"
        yield Fault(path, message)
    if holder.group is not None:
        yield from _order_faults(holder.group.steps, pivot, path, catalog)


def _holds(step: Step, pivot: Step) -> bool:
    inner = step.group.steps if step.group is not None else ()
    return any(child is pivot or _holds(child, pivot) for child in inner)
