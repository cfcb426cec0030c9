"""The order around a task's point of no return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..effect import Effect
from ..errors import Fault
from .catalog import AgentEntry, Catalog
from .graph import Graph, every_step, targets
from .task_spec import Step, TaskSpec


def pivot_faults(spec: TaskSpec, catalog: Catalog) -> Iterator[Fault]:
    """Yields what is wrong around the pivot of a task.

    There is one pivot at most, it is not repeated, and whatever can be undone comes before it: what comes
    later, or may still run beside it, could fail when it is too late to undo the rest.
    """
    yield from _agent_faults(spec.steps, catalog, "steps")
    pivots = list(_pivots(spec.steps, catalog, "steps", looped=False))
    if not pivots:
        return
    first, _ = pivots[0]
    for step, (path, looped) in pivots:
        if step is not first:
            yield Fault(path, f"{first.id!r} is the pivot already; a task has one")
        if looped:
            yield Fault(path, "a pivot cannot stand under for_each: it would be several points of no return")
    yield from _order_faults(spec.steps, first, pivots[0][1][0], catalog)


def effects_of(step: Step, catalog: Catalog) -> set[Effect]:
    """Returns every effect that a step may have, by whatever it may call."""
    if step.group is not None:
        return set().union(*(effects_of(inner, catalog) for inner in step.group.steps))
    if step.workflow is not None:
        return _effects_of_child(step, step.workflow, catalog)
    found: set[Effect] = set()
    for name in [*(name for _, name in targets(step)), *step.fallbacks]:
        entry = catalog.agents.get(name) or catalog.tools.get(name)
        if entry is not None:
            found.add(step.effect or (Effect.COMPENSATABLE if step.compensate else entry.effect))
        if isinstance(entry, AgentEntry):
            found |= {catalog.tools[tool].effect for tool in entry.tools if tool in catalog.tools}
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
            agent = catalog.agents.get(name)
            pivot = _pivot_of(agent, catalog)
            if pivot is not None and step.effect is not Effect.PIVOT:
                yield Fault(here, f"{name} may call the pivot {pivot}; say effect: pivot")
            elif agent is not None and not agent.python and step.effect is Effect.PIVOT and pivot is None:
                yield Fault(f"{here}.effect", f"{name} has no pivot among its tools; leave effect out")
        for name in step.fallbacks:
            pivot = _pivot_of(catalog.agents.get(name), catalog)
            if pivot is not None:
                yield Fault(here, f"the fallback {name} may call the pivot {pivot}; a fallback cannot be one")


def _pivot_of(agent: AgentEntry | None, catalog: Catalog) -> str | None:
    tools = () if agent is None else agent.tools
    return next(
        (name for name in tools if name in catalog.tools and catalog.tools[name].effect is Effect.PIVOT), None
    )


def _pivots(
    steps: Sequence[Step], catalog: Catalog, path: str, *, looped: bool
) -> Iterator[tuple[Step, tuple[str, bool]]]:
    for index, step in enumerate(steps):
        here, inside = f"{path}[{index}]", looped or step.for_each is not None
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
