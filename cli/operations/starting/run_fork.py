"""Plans the fork of a task, and runs it where it is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from temporalio.envconfig import ClientConnectConfig

from ....bundle.bundle import Bundle
from ....bundle.registry import Registry
from ....bundle.spec_file import first_faults
from ....client.forks.fork_plan import ForkPlan
from ....client.forks.fork_task import find_id, read_plan
from ....client.outcome import Outcome
from ....embedded.throw_away import temporal_server
from ....runtime.settings import Settings
from ....saga.errors import SpecError
from ....saga.spec.catalog import Catalog, change_faults
from ....saga.spec.checker import check_spec
from ...arguments.server_target import ServerTarget
from ...arguments.task_request import TaskRequest, stand_in_notice
from ...terminal.output import say
from .run_task import Job, run_job


@dataclass(frozen=True, slots=True)
class ForkJob:
    """Says what ``fork`` is to do.

    Attributes:
        id: The first task.
        step: The step before which it is forked.
        changes: What is changed, by paths.
        new_id: The id of the new task; None for the next one.
        throw_away: Whether it runs on a server of its own, which is thrown away.
        bundles: See `Job`, as for the others.
        target: The server of the first task.
    """

    id: str
    step: str
    changes: Mapping[str, Any]
    new_id: str | None
    throw_away: bool
    bundles: Sequence[Bundle]
    bundle_names: Sequence[str]
    task_queue: str | None
    settings: Settings
    target: ServerTarget
    by: str | None


async def run_fork(job: ForkJob) -> tuple[Outcome, Any, list[str]]:
    """Runs a fork to its end.

    Args:
        job: What to do.

    Returns:
        The outcome, the task's result or the error that ended it, and the options with which other commands
        reach its server.

    Raises:
        CommandFailed: No worker is there.
        CounterstepError: It cannot be forked there, has faults, or as `run_job`.
        RPCError: The server has stopped answering.
    """
    plan = await read_plan(await job.target.connect(), job.id, job.step, job.changes)
    catalog = _checked(plan, job) if job.bundles else None
    for line in _notes(plan):
        say(line)
    with temporal_server() if job.throw_away else nullcontext() as server:
        target = job.target
        if server is not None:
            where: ClientConnectConfig = {"target_host": server.address, "namespace": "default"}
            target = ServerTarget(where, codec=job.target.codec, codec_name=job.target.codec_name)
        known = TaskRequest(plan.name, plan.spec, False, plan.input)
        outcome, end = await run_job(
            Job(
                request=plan,
                workflow_id=job.new_id or await find_id(await target.connect(), plan),
                bundles=job.bundles,
                bundle_names=job.bundle_names,
                task_queue=job.task_queue or (None if job.bundles else plan.task_queue),
                settings=job.settings,
                target=target,
                notice=stand_in_notice(known, catalog),
                by=job.by,
            )
        )
        if server is not None and end is None:
            say("Its server is thrown away now; what it has done until here is not undone.")
    return outcome, end, target.options()


def _checked(plan: ForkPlan, job: ForkJob) -> Catalog:
    """Returns what the bundles offer, as the fork changes it.

    Raises:
        SpecError: It does not fit them.
    """
    catalog = Registry(job.bundles, job.settings.model).catalog
    faults = list(change_faults(plan.agents, catalog.agents))
    if not faults:
        catalog = catalog.with_changes(plan.agents)
        faults = check_spec(plan.spec, catalog)
    if faults:
        raise SpecError(first_faults(faults))
    return catalog


def _notes(plan: ForkPlan) -> list[str]:
    """Says what is taken over, and what one might not expect of it."""
    tops = [step.id for step in plan.spec.steps if step.id in plan.fork.steps]
    taken = f"taken over: {', '.join(tops)}" if tops else "nothing is taken over"
    notes = [f"Forked from {plan.source} before {plan.step}; {taken}."]
    if plan.undone:
        notes.append(
            f"{plan.source} has undone {', '.join(plan.undone)} since: what is taken over of that may not be "
            "there any more."
        )
    if plan.asked_again:
        asked = ", ".join(plan.asked_again)
        notes.append(f"Asked again, since a yes counts for one task only: {asked}.")
    return notes
