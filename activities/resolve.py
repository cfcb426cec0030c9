"""Settles the spec and the catalog of a task, and refuses a faulty task before anything has run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from ..bundle.registry import Registry
from ..bundle.spec_file import parse_spec
from ..pool_limits.latencies import Latencies
from ..pool_limits.shared_limits import SharedLimits
from ..saga.errors import FailureType, Fault, SpecError
from ..saga.failure import trim
from ..saga.history_format import ENGINE, RECOVER_CHILD, RESOLVE
from ..saga.limits.budget import Budget
from ..saga.limits.cost_bound import ModelFacts
from ..saga.limits.unpriced import IGNORED, UnpricedModels
from ..saga.names import nearest
from ..saga.spec.catalog import AgentChange, AgentEntry, Catalog, ToolEntry, change_faults
from ..saga.spec.checker import check_spec
from ..saga.spec.graph import every_step, targets
from ..saga.spec.input_reads import check_task_input
from ..saga.spec.rules.pivot_rules import child_tasks
from ..saga.spec.rules.team_rules import with_teams
from ..saga.spec.snapshot import Snapshot, SnapshotRequest
from ..saga.spec.task_spec import TaskSpec
from .begin import begin
from .calibrate import calibrate
from .models.known_models import facts_of


class Resolver:
    """Resolves tasks from the registry of one worker.

    Attributes:
        search_attributes: Whether the namespace has Counterstep's search attributes; the worker sets it
            when it starts.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        inline_specs: bool,
        notify: bool = False,
        limits: SharedLimits | None = None,
        unpriced: UnpricedModels = IGNORED,
        latencies: Latencies | None = None,
    ) -> None:
        """Prepares a resolver.

        Args:
            registry: What the worker offers.
            inline_specs: Whether callers may bring a spec of their own.
            notify: Whether a webhook is told what tasks wait for.
            limits: The limits of the pool; None for none.
            unpriced: How models without a known price are treated.
            latencies: How long calls have taken; None where nobody has measured it.
        """
        self._latencies = latencies
        self._registry = registry
        self._inline_specs = inline_specs
        self._notify = notify
        self._limits = limits
        self._unpriced = unpriced
        self.search_attributes = False
        self._checked: dict[str, tuple[Snapshot, dict[str, Any]]] = {}

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
        asked = SnapshotRequest.model_validate(question)
        snapshot, answer = self._settled(asked)
        if self._latencies is not None:
            calibrated = await calibrate(snapshot, self._latencies)
            snapshot, answer = (snapshot, answer) if calibrated is snapshot else _with_json(calibrated)
        run_id = activity.info().workflow_run_id or ""
        answer = {**answer, "search_attributes": self.search_attributes, "run_id": run_id}
        if asked.appraise or any(budget.prices_matter for budget in _budgets(snapshot)):
            models = await self._appraised(snapshot)
            answer["models"] = {name: facts.model_dump(mode="json") for name, facts in models.items()}
        if self._limits is not None and self._limits.binds and snapshot.spec is not None:
            answer |= await begin(self._limits, run_id, snapshot.task, asked.input)
        return answer

    def _settled(self, asked: SnapshotRequest) -> tuple[Snapshot, dict[str, Any]]:
        """Returns the snapshot, and the same as JSON."""
        if asked.task is None and asked.spec is None:
            part = self._registry.catalog.model_copy(update={"tasks": {}})
            return _with_json(Snapshot(task="", catalog=part, engine=ENGINE, notify=self._notify))
        spec = self._spec(asked)
        name = asked.task or asked.called or spec.name
        settled = self._checked.get(asked.task or "") or self._check(name, spec, asked.agents)
        if asked.task is not None:
            self._checked[asked.task] = settled
        faults = check_task_input(spec, asked.input)
        if faults:
            raise _refused(FailureType.INVALID_INPUT, faults)
        return settled

    def _check(
        self, task: str, spec: TaskSpec, changes: Mapping[str, AgentChange]
    ) -> tuple[Snapshot, dict[str, Any]]:
        catalog = self._registry.catalog
        faults = list(change_faults(changes, catalog.agents))
        if not faults:
            catalog = catalog.with_changes(changes)
            faults = check_spec(spec, catalog)
        if faults:
            raise _refused(FailureType.INVALID_SPEC, faults)
        used = _used(spec, catalog)
        return _with_json(Snapshot(task=task, spec=spec, catalog=used, engine=ENGINE, notify=self._notify))

    async def _appraised(self, snapshot: Snapshot) -> dict[str, ModelFacts]:
        """Returns what is known of the models of a task; raises where one may not be used."""
        models = await facts_of(_models(snapshot), self._unpriced)
        unpriced = [name for name, facts in models.items() if facts.input_usd is None]
        if self._unpriced.refuse and unpriced and any(b.usd is not None for b in _budgets(snapshot)):
            message = (
                f"no price is known for {', '.join(unpriced)}, and COUNTERSTEP_UNPRICED_MODELS=refuse on the "
                "workers; set it to what a million tokens cost, or leave usd out of the budget"
            )
            raise _refused(FailureType.INVALID_SPEC, [Fault("budget.usd", message)])
        return models

    def _spec(self, asked: SnapshotRequest) -> TaskSpec:
        if asked.task is not None:
            tasks = self._registry.catalog.tasks
            if asked.task not in tasks:
                message = f"no worker of this queue knows the task {asked.task!r}{nearest(asked.task, tasks)}"
                raise ApplicationError(message, type=FailureType.UNKNOWN_TASK, non_retryable=True)
            return tasks[asked.task]
        if not self._inline_specs:
            message = (
                "this worker takes registered tasks only; "
                f"{'a fork has a spec of its own:' if asked.called else 'start one by its name, or'} "
                "set COUNTERSTEP_INLINE_SPECS=true on the workers"
            )
            raise ApplicationError(message, type=FailureType.INLINE_SPECS_REFUSED, non_retryable=True)
        try:
            return parse_spec(asked.spec, self._registry.catalog)
        except SpecError as error:
            raise _refused(FailureType.INVALID_SPEC, error.faults) from None


def _with_json(snapshot: Snapshot) -> tuple[Snapshot, dict[str, Any]]:
    return snapshot, snapshot.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _budgets(snapshot: Snapshot) -> Iterator[Budget]:
    """Yields the budgets of a task and of its parts."""
    if snapshot.spec is not None:
        yield snapshot.spec.budget
        yield from (step.budget for step in every_step(snapshot.spec.steps))
    yield from (agent.budget for agent in snapshot.catalog.agents.values())


def _models(snapshot: Snapshot) -> Iterator[str]:
    """Yields the models that a task may ask."""
    for agent in snapshot.catalog.agents.values():
        yield from snapshot.catalog.models_of(agent)
        yield from agent.team.models if agent.team is not None else ()
    yield from snapshot.catalog.default_models
    checks = [check for entry in _guarded(snapshot.catalog) for check in entry.guard]
    for spec in (snapshot.spec, *snapshot.catalog.tasks.values()):
        for step in () if spec is None else every_step(spec.steps):
            yield from step.other_models
            checks += [*step.guard, *step.validate_]
        checks += [] if spec is None else spec.validate_
    for check in checks:
        yield from () if check.judge is None else check.judge.models


def _guarded(catalog: Catalog) -> Iterator[ToolEntry | AgentEntry]:
    yield from catalog.agents.values()
    yield from catalog.tools.values()


def _used(spec: TaskSpec, catalog: Catalog) -> Catalog:
    tasks = _tasks_below(spec, catalog)
    steps = [step for task in (spec, *tasks.values()) for step in every_step(task.steps)]
    names = [name for step in steps for _, name in targets(step)]
    names += [name for step in steps for name in (*step.fallbacks, *step.rules)]
    validations = [*spec.validate_, *(check for step in steps for check in (*step.guard, *step.validate_))]
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
