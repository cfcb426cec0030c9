"""Tells workflows of the ends of their local activities in the order in which a replay tells it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import Info

from ..saga.temporal.steady_time import keep_time

_LAST = frozenset(
    {
        "complete_workflow_execution",
        "fail_workflow_execution",
        "cancel_workflow_execution",
        "continue_as_new_workflow_execution",
    }
)
"""The commands that end a workflow."""


class OrderedRunner(UnsandboxedWorkflowRunner):
    """Runs workflows so that they replay although somebody has looked at them.

    Where a query is answered while a local activity ends, the SDK records the end at once, but tells the
    workflow of it only in the next workflow task, together with all that has happened meanwhile. A replay
    tells of it alone, and before the rest: the workflow then makes its calls in another order, and can never
    be replayed (temporalio 1.35; its core forces the new workflow task in `prepare_complete_resp`).

    The time that a workflow reads right after such an end is that of the query; in a replay it is later by
    what the local activity took, which nothing here can know. What must not depend on it asks `steady_time`.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See base class."""
        is_ours = det.defn.cls.__module__.startswith(f"{__package__}.")
        return _OrderedInstance(super().create_instance(det), is_ours=is_ours)


def in_order(runner: WorkflowRunner) -> WorkflowRunner:
    """Returns an `OrderedRunner`, in a sandbox where there was one; a user's own stays as it is."""
    if type(runner) is UnsandboxedWorkflowRunner:
        return OrderedRunner()
    if isinstance(runner, SandboxedWorkflowRunner) and runner.runner_class is UnsandboxedWorkflowRunner:
        return dataclasses.replace(runner, runner_class=OrderedRunner)
    return runner


def is_ours(workflow: WorkflowInstance) -> bool:
    """Says whether a workflow is one of Counterstep's own, which all wait soon as a rule."""
    return isinstance(workflow, _OrderedInstance) and workflow.is_ours


class _Moment(NamedTuple):
    """When an activation is, as far as a workflow can see it."""

    timestamp: int
    history_length: int
    history_size_bytes: int
    continue_as_new_suggested: bool
    target_worker_deployment_version_changed: bool

    @classmethod
    def of(cls, act: WorkflowActivation) -> _Moment:
        """Reads it from an activation, and keeps nothing of its payloads."""
        return cls(
            act.timestamp.ToNanoseconds(),
            act.history_length,
            act.history_size_bytes,
            act.continue_as_new_suggested,
            act.target_worker_deployment_version_changed,
        )

    def activation(
        self, whole: WorkflowActivation, jobs: Iterable[WorkflowActivationJob]
    ) -> WorkflowActivation:
        """Makes an activation at this moment with some of the jobs of another one."""
        act = WorkflowActivation()
        act.CopyFrom(whole)
        del act.jobs[:]
        act.jobs.extend(jobs)
        act.timestamp.FromNanoseconds(self.timestamp)
        act.history_length = self.history_length
        act.history_size_bytes = self.history_size_bytes
        act.continue_as_new_suggested = self.continue_as_new_suggested
        act.target_worker_deployment_version_changed = self.target_worker_deployment_version_changed
        return act


class _OrderedInstance(WorkflowInstance):
    def __init__(self, workflow: WorkflowInstance, *, is_ours: bool = False) -> None:
        self.is_ours = is_ours
        self._workflow = workflow
        self._asked_at: _Moment | None = None

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """See base class."""
        is_asked = any(job.HasField("query_workflow") for job in act.jobs)
        asked_at, self._asked_at = self._asked_at, _Moment.of(act) if is_asked else None
        ends: list[WorkflowActivationJob] = []
        others: list[WorkflowActivationJob] = []
        for job in act.jobs:
            is_end = job.HasField("resolve_activity") and job.resolve_activity.is_local
            (ends if is_end else others).append(job)
        # After a query, what is told in a new workflow task has ended in the one before.
        is_late = ends and asked_at is not None and asked_at.history_length != act.history_length
        late = asked_at if is_late else None
        if not ends or not (others or late):
            return self._activate(act, is_moved_on=not (ends or is_asked))
        now = _Moment.of(act)
        told_of_ends = (late or now).activation(act, ends)
        if not others:
            return self._activate(told_of_ends, is_moved_on=False)
        told_of_others = now.activation(act, others)
        if late:
            first = self._activate(told_of_ends, is_moved_on=False)
            return _joined(first, partial(self._activate, told_of_others))
        first = self._activate(told_of_others)
        return _joined(first, partial(self._activate, told_of_ends, is_moved_on=False))

    def _activate(self, act: WorkflowActivation, *, is_moved_on: bool = True) -> WorkflowActivationCompletion:
        if is_moved_on:
            keep_time(self._workflow, act.timestamp.ToNanoseconds() / 1e9)
        return self._workflow.activate(act)

    def get_info(self) -> Info:
        """See base class."""
        return self._workflow.get_info()

    def get_thread_id(self) -> int | None:
        """See base class."""
        return self._workflow.get_thread_id()

    def get_serialization_context(self, command_info: Any) -> Any:
        """See base class."""
        return self._workflow.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        """See base class."""
        return self._workflow.get_external_store_context(command_info)


def _joined(
    first: WorkflowActivationCompletion, activate: Callable[[], WorkflowActivationCompletion]
) -> WorkflowActivationCompletion:
    """Goes on with the second part, as far as the first has not failed, and returns what both come to."""
    if first.HasField("failed"):
        return first
    second = activate()
    if second.HasField("failed"):
        return second
    if any(command.WhichOneof("variant") in _LAST for command in first.successful.commands):
        return first  # a replay hears nothing of a workflow after its end
    first.MergeFrom(second)
    return first
