"""Says which undo has to wait for which, from the graph of the spec and not from what the engine recorded."""

from __future__ import annotations

from collections.abc import Sequence

from ...saga.ledger.call_id import CallId
from ...saga.spec.graph import Graph
from ...saga.spec.task_spec import Step, TaskSpec


def must_wait(spec: TaskSpec, earlier: str, later: str) -> bool:
    """Returns whether the undo of one call has to wait for that of another, because its step came first.

    Args:
        spec: The task.
        earlier: ``PATH#ROUND`` of the call whose undo may have to wait.
        later: ``PATH#ROUND`` of the other call.

    Returns:
        True if the step of `later`, or a group around it, needs the step of `earlier` in the same round.
    """
    one, other = CallId.parse(earlier), CallId.parse(later)
    return one.round == other.round and _needs(spec.steps, one.segments, other.segments)


def _needs(steps: Sequence[Step], path: Sequence[str], other: Sequence[str]) -> bool:
    graph = Graph(steps)
    step, other_step = _step_id(path[0]), _step_id(other[0])
    if step not in graph.steps or other_step not in graph.steps:
        return False  # a call inside of an agent
    if step != other_step:
        return step in graph.ancestors(other_step)
    group = graph.steps[step].group
    if path[0] != other[0] or group is None or len(path) < 2 or len(other) < 2:
        return False  # items of one step, or calls of one agent
    return _needs(group.steps, path[1:], other[1:])


def _step_id(segment: str) -> str:
    return segment.partition("[")[0]
