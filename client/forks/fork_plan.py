"""From a recorded task to the start of its fork: what is taken over, what runs, and what was changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...bundle.spec_file import first_faults, parse_spec
from ...bundle.yaml_document import payload_faults
from ...saga.counted import times
from ...saga.engine.continue_as_new import read_later, without_output
from ...saga.errors import Fault, SpecError
from ...saga.names import nearest
from ...saga.record.fork import Fork, Lineage
from ...saga.spec.catalog import AgentChange, Catalog
from ...saga.spec.checker import check_spec
from ...saga.spec.failure_policy import RetryFrom
from ...saga.spec.graph import Graph, every_step
from ...saga.spec.input_reads import check_task_input
from ...saga.spec.task_spec import Step, TaskSpec
from ..errors import NotForkable
from ..payload import as_payload
from ..start_once import AGENT_TASK, spec_document
from .changes import ChangeReader
from .recorded_task import Moment, RecordedTask

_STEP = re.compile(r"(?P<id>[^#\[/]+)(?P<below>[\[/][^#]*)?(#(?P<time>[1-9]\d*))?")


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """A fork that has not been started.

    Attributes:
        source: The id of the first task.
        step: The step before which it begins.
        name: The name of the task.
        spec: Its spec, with the changes.
        input: Its input, likewise.
        fork: What it takes over.
        task_queue: The queue of the first task's workers.
        undone: The steps that are taken over, and that the first task has undone since.
        asked_again: The approvals that were given to the first task only.
    """

    source: str
    step: str
    name: str
    spec: TaskSpec
    input: Any
    fork: Fork
    task_queue: str
    undone: tuple[str, ...]
    asked_again: tuple[str, ...]

    def start(self) -> tuple[str, Any]:
        """Returns the workflow type to start, and its argument."""
        fork = self.fork.model_dump(mode="json", exclude_defaults=True)
        return AGENT_TASK, {"fork": fork, "spec": spec_document(self.spec), "input": self.input}

    @property
    def agents(self) -> Mapping[str, AgentChange]:
        """What is changed of agents."""
        return self.fork.source.agents

    @property
    def summary(self) -> str:
        """One line for people."""
        goal = f": {self.spec.goal}" if self.spec.goal else ""
        return f"{self.name}, forked from {self.source} before {self.step}{goal}"


def plan_fork(task: RecordedTask, step: str, changes: Mapping[str, Any]) -> ForkPlan:
    """Plans a fork.

    Args:
        task: The first task.
        step: The step before which it is forked; ``STEP#2`` for the second time that it started.
        changes: What is changed, by paths.

    Returns:
        The plan; nothing was started.

    Raises:
        SpecError: There is no such step, or the changes have faults; all of them are named.
        NotForkable: The task was not there, or what it had done by then cannot be taken over.
    """
    spec = task.spec
    assert task.snapshot is not None
    match = _STEP.fullmatch(step)
    name = match["id"] if match else step
    faults = [*_step_faults(spec, step, name, match["below"] if match else None)]
    moment = None if faults else _moment(task, name, match["time"] if match else None)
    taken = set[str]() if moment is None else _finished(spec, moment)
    taken, again = (taken, ()) if moment is None else _with_approvals(spec, task.snapshot.catalog, taken)
    reader = ChangeReader(spec, task.snapshot.catalog, _may_run(spec, taken))
    earlier = {} if task.forked is None else task.forked.agents
    document = _asking_again(spec, taken, again)
    changed = reader.read(_as_json(changes, faults), document, task.input, earlier)
    faults += changed.faults
    if faults or moment is None:
        raise SpecError(first_faults(faults))
    new_spec = parse_spec(changed.document)
    catalog = task.snapshot.catalog
    known = check_spec(spec, catalog)
    faults = [
        fault for fault in check_spec(new_spec, catalog.with_changes(changed.agents)) if fault not in known
    ]
    faults += check_task_input(new_spec, changed.input)
    if faults:
        raise SpecError(first_faults(faults))
    source = Lineage(
        id=task.id, run_id=task.run_id, step=step, changes=tuple(sorted(changes)), agents=changed.agents
    )
    taken_over = _fitting(_fork(task, moment, taken, source), new_spec)
    plan = ForkPlan(
        source=task.id,
        step=step,
        name=task.snapshot.task,
        spec=new_spec,
        input=changed.input,
        fork=taken_over,
        task_queue=task.task_queue,
        undone=tuple(name for name in task.undone_since(moment) if name in taken),
        asked_again=again,
    )
    too_large = payload_faults(plan.start()[1], "the whole of what is taken over")
    if too_large:
        raise SpecError(too_large)
    return plan


# --- the step


def _step_faults(spec: TaskSpec, step: str, name: str, below: str | None) -> Iterator[Fault]:
    tops = [top.id for top in spec.steps]
    group = next((top.id for top in spec.steps if name in {s.id for s in every_step([top])} - {top.id}), None)
    if group is not None:
        message = f"{name!r} is inside the group {group!r}, which runs as a whole; fork before {group}"
        yield Fault("STEP", message)
    elif name not in tops:
        yield Fault("STEP", f"there is no step {name!r}{nearest(name, tops)}")
    elif below:
        message = f"{step!r} is a part of {name!r}, which runs as a whole; fork before {name}"
        yield Fault("STEP", message)


def _moment(task: RecordedTask, step: str, time: str | None) -> Moment:
    moments = task.moments.get(step, [])
    if not moments and step in task.taken_over and task.forked is not None:
        first = task.forked.id
        raise NotForkable(f"{step!r} of {task.id} is taken over from {first}; fork {first} before it.")
    if not moments:
        reached = [top.id for top in task.spec.steps if top.id in task.moments]
        there = f"it has come to {', '.join(reached)}" if reached else "it has not come to any step"
        raise NotForkable(
            f"{task.id} has never come to {step!r}, so nobody knows what was before it; {there}."
        )
    if time is not None and int(time) > len(moments):
        often = times(len(moments))
        raise NotForkable(f"{step!r} of {task.id} has started {often} only, so there is no {step}#{time}.")
    return moments[-1 if time is None else int(time) - 1]


# --- what is taken over


def _finished(spec: TaskSpec, moment: Moment) -> set[str]:
    """Returns the steps that had finished, and do not build on one that had not."""
    graph = Graph(spec.steps)
    return {s.id for s in spec.steps if s.id in moment.steps and graph.ancestors(s.id) <= moment.steps.keys()}


def _with_approvals(spec: TaskSpec, catalog: Catalog, taken: set[str]) -> tuple[set[str], tuple[str, ...]]:
    """Takes out the approvals that steps of the fork wait for: a yes counts for one task only.

    Returns:
        What is taken over, and the approvals that are asked for again.

    Raises:
        NotForkable: One is a part of a step that has done more, and would have to do it again.
    """
    graph = Graph(spec.steps)
    waited_for = frozenset[str]().union(*(graph.ancestors(s.id) for s in spec.steps if s.id not in taken))
    asking = [s for s in spec.steps if s.id in taken & waited_for and _asks(s, catalog)]
    for step in asking:
        if step.approve is None:
            raise NotForkable(
                f"{step.id!r} has asked people whether the task may go on, and their answer counts for that "
                f"task only; fork before {step.id}."
            )
    again = tuple(step.id for step in asking)
    return taken - set(again), again


def _asks(step: Step, catalog: Catalog) -> bool:
    """Says whether an approval is a part of a step, or of the task that it starts."""
    for inner in every_step([step]):
        child = catalog.tasks.get(inner.workflow or "")
        if inner.approve is not None or (child and any(_asks(below, catalog) for below in child.steps)):
            return True
    return False


def _asking_again(spec: TaskSpec, taken: set[str], again: tuple[str, ...]) -> dict[str, Any]:
    """Returns the document of a spec in which everything waits for the approvals that are asked for again.

    What has waited for them through a step that is taken over would not wait otherwise.
    """
    document = spec_document(spec)
    graph = Graph(spec.steps)
    for step, written in zip(spec.steps, document["steps"], strict=True):
        before = graph.ancestors(step.id)
        more = [name for name in again if name in before and name not in graph.needs[step.id]]
        if more and step.id not in taken:
            written["needs"] = [*written.get("needs", ()), *more]
    return document


def _may_run(spec: TaskSpec, taken: set[str]) -> frozenset[str]:
    """Returns the steps that run in the fork, or may run again in it because one goes back to them."""
    graph = Graph(spec.steps)
    running = {step.id for step in spec.steps if step.id not in taken}
    back = {
        rung.retry_from
        for step in spec.steps
        if step.id in running
        for rung in step.troubles
        if isinstance(rung, RetryFrom)
    }
    return graph.dependents(back & graph.steps.keys()) | running


def _fork(task: RecordedTask, moment: Moment, taken: set[str], source: Lineage) -> Fork:
    names = {inner.id for step in task.spec.steps if step.id in taken for inner in every_step([step])}
    assert task.snapshot is not None
    return Fork(
        task=task.snapshot.task,
        source=source,
        steps={name: step for name, step in moment.steps.items() if name.rpartition("/")[2] in names},
        facts=dict(moment.facts),
        events=moment.events,
        feedback=dict(moment.feedback),
    )


def _fitting(fork: Fork, spec: TaskSpec) -> Fork:
    """Leaves outputs out that nothing reads, where all of them together are too large to be sent."""
    if not payload_faults(fork.model_dump(mode="json"), "fork"):
        return fork
    wanted = read_later(spec)
    fitting = {name: without_output(name, step, wanted) for name, step in fork.steps.items()}
    return fork.model_copy(update={"steps": fitting})


def _as_json(changes: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Returns the changes as JSON, and adds why one is not."""
    said = {}
    for path, value in changes.items():
        try:
            said[path] = as_payload(value, path)
        except SpecError as error:
            faults += error.faults
    return said
