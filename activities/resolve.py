"""Settles the spec and the catalog of a task, and refuses a faulty task before anything has run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from ..bundle.registry import Registry
from ..bundle.spec_file import parse_spec
from ..saga.errors import FailureType, Fault, SpecError
from ..saga.failure import trim
from ..saga.history_format import ENGINE, RECOVER_CHILD, RESOLVE
from ..saga.names import nearest
from ..saga.spec.catalog import Catalog
from ..saga.spec.checker import check_spec
from ..saga.spec.graph import every_step, targets
from ..saga.spec.input_reads import check_task_input
from ..saga.spec.rules.pivot_rules import child_tasks
from ..saga.spec.rules.team_rules import with_teams
from ..saga.spec.snapshot import Snapshot, SnapshotRequest
from ..saga.spec.task_spec import TaskSpec


class Resolver:
    """Resolves tasks from the registry of one worker.

    Attributes:
        search_attributes: Whether the namespace has Counterstep's search attributes; the worker sets it
            when it starts.
    """

    def __init__(self, registry: Registry, *, inline_specs: bool, notify: bool = False) -> None:
        """Prepares a resolver.

        Args:
            registry: What the worker offers.
            inline_specs: Whether callers may bring a spec of their own.
            notify: Whether a webhook is told what tasks wait for.
        """
        self._registry = registry
        self._inline_specs = inline_specs
        self._notify = notify
        self.search_attributes = False
        self._checked: dict[str, dict[str, Any]] = {}

    @activity.defn(name=RESOLVE)
    async def resolve(self, question: Any) -> Any:
        """Settles spec and catalog for one task.

        Args:
            question: A `SnapshotRequest` as JSON.

        Returns:
            A `Snapshot` as JSON.

        Raises:
            ApplicationError: The task is unknown, or its spec or input has faults, which are all named.
        """
        run_id = activity.info().workflow_run_id
        return {**self._settled(SnapshotRequest.model_validate(question)), "run_id": run_id}

    def _settled(self, asked: SnapshotRequest) -> dict[str, Any]:
        catalog = self._registry.catalog
        if asked.task is None and asked.spec is None:
            part = catalog.model_copy(update={"tasks": {}})
            known = self.search_attributes
            return self._answer(
                Snapshot(task="", catalog=part, search_attributes=known, engine=ENGINE, notify=self._notify)
            )
        spec = self._spec(asked)
        snapshot = self._checked.get(asked.task or "") or self._check(asked.task or spec.name, spec)
        if asked.task is not None:
            self._checked[asked.task] = snapshot
        faults = check_task_input(spec, asked.input)
        if faults:
            raise _refused(FailureType.INVALID_INPUT, faults)
        return {**snapshot, "search_attributes": self.search_attributes}

    def _check(self, task: str, spec: TaskSpec) -> dict[str, Any]:
        catalog = self._registry.catalog
        faults = check_spec(spec, catalog)
        if faults:
            raise _refused(FailureType.INVALID_SPEC, faults)
        used = _used(spec, catalog)
        return self._answer(Snapshot(task=task, spec=spec, catalog=used, engine=ENGINE, notify=self._notify))

    def _spec(self, asked: SnapshotRequest) -> TaskSpec:
        if asked.task is not None:
            tasks = self._registry.catalog.tasks
            if asked.task not in tasks:
                message = f"no worker of this queue knows the task {asked.task!r}{nearest(asked.task, tasks)}"
                raise ApplicationError(message, type=FailureType.UNKNOWN_TASK, non_retryable=True)
            return tasks[asked.task]
        if not self._inline_specs:
            message = (
                "this worker takes registered tasks only; start one by its name, "
                "or set COUNTERSTEP_INLINE_SPECS=true on the workers"
            )
            raise ApplicationError(message, type=FailureType.INLINE_SPECS_REFUSED, non_retryable=True)
        try:
            return parse_spec(asked.spec, self._registry.catalog)
        except SpecError as error:
            raise _refused(FailureType.INVALID_SPEC, error.faults) from None

    @staticmethod
    def _answer(snapshot: Snapshot) -> dict[str, Any]:
        return snapshot.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _used(spec: TaskSpec, catalog: Catalog) -> Catalog:
    tasks = _tasks_below(spec, catalog)
    steps = [step for task in (spec, *tasks.values()) for step in every_step(task.steps)]
    names = [name for step in steps for _, name in targets(step)]
    names += [name for step in steps for name in step.fallbacks]
    validations = [*spec.validate_, *(validation for step in steps for validation in step.validate_)]
    checks = [validation.check for validation in validations if validation.check]
    for task in (spec, *tasks.values()):
        catalog = with_teams(task, catalog)
    part = catalog.only(tools=names, agents=names, validators=checks)
    named = {step.compensate for step in steps if step.compensate is not None}
    if any(step.workflow or step.agent or step.team for step in steps):
        named.add(RECOVER_CHILD)  # a long conversation is a child too
    own = {name: catalog.compensations[name] for name in sorted(named)}
    return part.model_copy(update={"compensations": {**part.compensations, **own}, "tasks": tasks})


def _tasks_below(spec: TaskSpec, catalog: Catalog) -> dict[str, TaskSpec]:
    """Returns the tasks that a task starts, and the tasks that those start in turn."""
    found: dict[str, TaskSpec] = {}
    waiting = child_tasks(spec, catalog)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = catalog.tasks[name]
            waiting += child_tasks(catalog.tasks[name], catalog)
    return found


def _refused(type_: FailureType, faults: Iterable[Fault]) -> ApplicationError:
    listed = list(faults)
    details = [{"path": fault.path, "message": fault.message} for fault in listed[:50]]
    message = trim("\n".join(str(fault) for fault in listed), 4000)
    return ApplicationError(
        message, {"faults": details}, type=type_, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )
