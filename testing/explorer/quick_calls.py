"""Makes explored runs quick and free of charge, with short timeouts and retries and without paid models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.worker import (
    StartActivityInput,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowOutboundInterceptor,
)

from ...bundle.bundle import Bundle
from ...pool_limits import bandit
from ...pool_limits.outcomes import Standing
from ...saga.calls.headers import CURRENT_HEADER, CallHeader
from ...saga.calls.timeouts_and_retries import DEFAULT_TIMEOUT
from ...saga.history_format import STAND_IN
from ...saga.routing.selection import Chance, Selection
from ...saga.spec.failure_policy import OtherModel, RetryFrom
from ...saga.spec.task_spec import Step, TaskSpec
from ...saga.spec.teams.member import Person
from ...saga.spec.teams.pattern import Pattern
from ...saga.spec.teams.router import Router
from ...saga.spec.timeout import Calibrated, Limit
from ...saga.spec.validation import Validation

CALL_LIMIT: Final = timedelta(seconds=2)
"""No attempt of a call or an undo may take longer."""

LATE: Final = timedelta(seconds=0.5)
"""How long after its timeout a call that hangs has its effect; the engine waits `GRACE` for it."""

HEARTBEAT: Final = timedelta(seconds=1.5)
"""A worker that is silent for this long is taken for dead."""

PAUSE: Final = timedelta(milliseconds=200)
"""No step waits longer for time to pass."""

RETRY_INTERVAL: Final = timedelta(milliseconds=50)
CALL_ATTEMPTS: Final = 2
UNDO_ATTEMPTS: Final = 3

LATE_FAULT: Final = Validation(rule="false", message="the fault explorer refuses every output")
"""The last check of a task that is to be rolled back when all of its steps are done."""


def quick_spec(spec: TaskSpec, *, fails_late: bool = False) -> TaskSpec:
    """Returns a spec with the same steps for an explored run.

    It leaves out judges, because they change nothing and cost money, and the time limits of the whole task
    and of the people that it waits for. No call takes longer than `CALL_LIMIT`, and no step waits longer than
    `PAUSE`.

    Args:
        spec: The user's spec.
        fails_late: Whether to refuse its output when all steps are done, so that everything is undone.
    """
    late = (LATE_FAULT,) if fails_late else ()
    return spec.model_copy(
        update={
            "steps": tuple(map(_quick_step, spec.steps)),
            "deadline": None,
            "compensation": spec.compensation.model_copy(update={"give_up": None}),
            "validate_": _without_judges(spec.validate_) + late,
        }
    )


def judges_in(teams: Iterable[Pattern]) -> frozenset[str]:
    """Returns the full names of the agents that judge others in teams."""
    seats = [seat for team in teams for seat in team.seats() if seat.independent]
    return frozenset(seat.member for seat in seats if not isinstance(seat.member, Person))


def quicken(bundles: Iterable[Bundle], models: Sequence[str], judges: Collection[str] = ()) -> None:
    """Shortens the timeouts of what bundles offer, and gives their model agents to one model.

    Args:
        bundles: Changed in place: only for a process that serves explored runs.
        models: litellm names as a fallback chain; empty for the stand-in model.
        judges: Agents that the stand-in plays in any case: their models must differ from those of others.
    """
    for bundle in bundles:
        timed: tuple[dict[str, Any], ...] = (bundle.tools, bundle.agents, bundle.compensations)
        for entries in timed:
            for name, entry in entries.items():
                timeout = _quick(entry.timeout or DEFAULT_TIMEOUT)
                entries[name] = entry.model_copy(update={"timeout": timeout})
        guarded: tuple[dict[str, Any], ...] = (bundle.tools, bundle.agents)
        for entries in guarded:
            for name, entry in entries.items():
                entries[name] = entry.model_copy(update={"guard": _without_judges(entry.guard)})
        for name, task in bundle.tasks.items():
            bundle.tasks[name] = quick_spec(task)
        for name, agent in bundle.agents.items():
            own = () if agent.name in judges else tuple(models)
            changes = {"models": own, "stand_in": not own, "team": _free(agent.team)}
            bundle.agents[name] = agent.model_copy(update=changes)


def draw_the_first() -> None:
    """Lets routers draw the first of equals, so that every run of a process comes to the same points."""
    bandit.select = _first


def _first(standings: Mapping[str, Standing], ahead: int, rng: Random, *, known: bool) -> Selection:
    return Selection(agent=next(iter(standings)), chances={name: Chance(draw=None) for name in standings})


def _free(team: Pattern | None) -> Pattern | None:
    """Gives the comparisons of a router to the stand-in."""
    if not isinstance(team, Router) or team.embedding is None:
        return team
    return team.model_copy(update={"embedding": STAND_IN})


class QuickCalls(WorkflowInboundInterceptor):
    """Shortens what the engine itself decides: retries, heartbeats, the timeouts of validators."""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        """See base class."""
        super().init(_QuickCalls(outbound))


class _QuickCalls(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        header = CURRENT_HEADER.get()
        if header is None:
            return super().start_activity(input)
        input.task_queue = None  # one worker serves all bulkheads
        input.start_to_close_timeout = min(input.start_to_close_timeout or CALL_LIMIT, CALL_LIMIT)
        input.heartbeat_timeout = min(input.heartbeat_timeout or HEARTBEAT, HEARTBEAT)
        input.retry_policy = _quick_policy(input.retry_policy, header)
        # The header's own policy would go first, on the side of the activity.
        token = CURRENT_HEADER.set(header.model_copy(update={"retry": None}))
        try:
            return super().start_activity(input)
        finally:
            CURRENT_HEADER.reset(token)

    async def start_child_workflow(
        self, input: StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        input.task_queue = None
        return await super().start_child_workflow(input)


def _quick_policy(policy: RetryPolicy | None, header: CallHeader) -> RetryPolicy:
    most = UNDO_ATTEMPTS if header.effect is None else CALL_ATTEMPTS
    attempts = policy.maximum_attempts if policy else 0
    return RetryPolicy(
        initial_interval=RETRY_INTERVAL,
        backoff_coefficient=1,
        maximum_attempts=min(attempts or most, most),
        non_retryable_error_types=policy.non_retryable_error_types if policy else None,
    )


def _quick_step(step: Step) -> Step:
    validations = _without_judges(step.validate_)
    if step.group is not None:
        inner = step.group.model_copy(update={"steps": tuple(map(_quick_step, step.group.steps))})
        return step.model_copy(update={"group": inner, "validate_": validations})
    if step.wait is not None and step.wait.time is not None:
        wait = step.wait.model_copy(update={"time": min(step.wait.time, PAUSE)})
        return step.model_copy(update={"wait": wait})
    timeout = None if step.timeout is None else _quick(step.timeout)
    changes = {
        "timeout": timeout,
        "guard": _without_judges(step.guard),
        "validate_": validations,
        "on_failure": _without_paid(step.on_failure),
        "team": _free(step.team),
    }
    if step.on_reject is not None:
        changes["on_reject"] = _without_paid(step.on_reject)
    return step.model_copy(update=changes)


def _quick(limit: Limit) -> timedelta:
    return CALL_LIMIT if isinstance(limit, Calibrated) else min(limit, CALL_LIMIT)


def _without_paid(trouble: Any) -> Any:
    """Gives the other models of a ladder to the stand-in model."""
    if isinstance(trouble, tuple):
        return tuple(map(_without_paid, trouble))
    if isinstance(trouble, RetryFrom):
        return trouble.model_copy(update={"then": _without_paid(trouble.then)})
    return OtherModel(model=STAND_IN) if isinstance(trouble, OtherModel) else trouble


def _without_judges(validations: tuple[Validation, ...]) -> tuple[Validation, ...]:
    return tuple(validation for validation in validations if validation.judge is None)
