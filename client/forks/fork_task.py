"""Starts a task again from where another one was, with another prompt, model or input."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

from temporalio.client import Client

from ..errors import IdInUse
from ..payload import expect_name
from ..start_once import find_started, start_once
from ..task import Task

if TYPE_CHECKING:
    from .fork_plan import ForkPlan


async def fork_task(
    client: Client,
    id: str,
    step: str,
    *,
    changes: Mapping[str, Any] | None = None,
    new_id: str | None = None,
    to: Client | None = None,
    task_queue: str | None = None,
) -> Task:
    """Starts a new task from the recorded state of another one before a step.

    What the first task had finished by then is taken over as facts: its outputs are there, and are not made
    again. `step`, and whatever else had not finished, runs, with effects of its own. The first task is only
    read. What it did is undone by itself alone, or not at all; the new one undoes what the new one does.

    Args:
        client: Connected to the server of the first task, with the codec of its workers.
        id: The workflow id of the first task, which may still run.
        step: The id of the step; ``STEP#2`` for the second time that it started, the last one otherwise.
        changes: Values by paths: ``input.NAME``, ``steps.ID.input.NAME``, ``goal``, and ``agents.NAME.`` with
            ``model``, ``instructions``, ``temperature``, ``max_tokens`` or ``seed``.
        new_id: The workflow id of the new task; ``ID-fork-N`` otherwise. The same fork under the same id, or
            without one, is not started twice.
        to: Connected to the server of the new task, if that is another one.
        task_queue: The queue of its workers, if it is another one. They must take specs from callers
            (``COUNTERSTEP_INLINE_SPECS``).

    Returns:
        The new task; its `is_new` tells whether this call has started it.

    Raises:
        UnknownTask: There is no task `id`.
        NotForkable: It was not started by a spec, has never come to the step, or cannot be read here.
        SpecError: There is no such step, or a change has faults; all of them are named.
        IdInUse: `new_id` has been started with something else.
        RPCError: A server does not answer or refuses.
    """
    expect_name(new_id, "new_id")
    expect_name(task_queue, "task_queue")
    plan = await read_plan(client, id, step, changes or {})
    target = to or client
    workflow, argument = plan.start()
    started = await start_once(
        target,
        workflow,
        argument,
        id=new_id or await find_id(target, plan),
        task_queue=task_queue or plan.task_queue,
        summary=plan.summary,
    )
    return Task(
        target,
        started.handle,
        run_id=started.run_id,
        name=workflow,
        task_queue=started.task_queue,
        is_new=started.is_new,
    )


async def read_plan(client: Client, id: str, step: str, changes: Mapping[str, Any]) -> ForkPlan:
    """Reads the first task and plans its fork; parameters and errors as those of `fork_task`."""
    # The engine is loaded where somebody forks, and for no other client.
    from .fork_plan import plan_fork
    from .recorded_task import read_recorded

    return plan_fork(await read_recorded(client, id), step, changes)


async def find_id(client: Client, plan: ForkPlan) -> str:
    """Returns the first ``ID-fork-N`` that is free, or was used for the same fork before."""
    workflow, argument = plan.start()
    for number in count(1):
        id = f"{plan.source}-fork-{number}"
        try:
            await find_started(client, workflow, argument, id=id)
        except IdInUse:
            continue
        return id
    raise AssertionError("numbers do not end")
