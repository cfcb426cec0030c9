"""Starts one task, and reports where it can be found."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ....client import TaskClient
from ....runtime.connection import has_workers
from ...arguments.server_target import ServerTarget
from ...arguments.task_request import TaskRequest
from ...terminal.output import say


class StartReport(BaseModel):
    """What ``start --json`` prints.

    Attributes:
        workflow_id: The task.
        run_id: The run that was started or found.
        task_queue: The queue of its workers.
        is_new: Whether this command started it; False if it had been started before.
        url: Its page in the Web UI, if the address of that is known.
    """

    model_config = ConfigDict(frozen=True)

    workflow_id: str
    run_id: str
    task_queue: str
    is_new: bool
    url: str | None


async def start_task(
    target: ServerTarget, request: TaskRequest, id: str | None, task_queue: str
) -> StartReport:
    """Starts a task, or finds it if the id was used for the same task before.

    Args:
        target: The server.
        request: The task, which has been checked.
        id: Its workflow id; None for a new one.
        task_queue: The queue of its workers.

    Returns:
        The task that was started or found.

    Raises:
        IdInUse: The id belongs to another task or input.
        ServerUnavailable: The server cannot be reached.
        RPCError: The server has stopped answering.
    """
    client = await target.connect()
    what = request.name if request.is_registered or request.spec is None else request.spec
    task = await TaskClient(client, task_queue=task_queue).start(what, request.input, id=id)
    begun = StartReport(
        workflow_id=task.id,
        run_id=task.run_id,
        task_queue=task.task_queue,
        is_new=task.is_new,
        url=target.link(task.id),
    )
    say(f"{task.id} (run {task.run_id})")
    if begun.url is not None:
        say(begun.url)
    if not task.is_new:
        say("It had been started before, with the same input; nothing was started now.")
    elif not await has_workers(client, task.task_queue):
        start = target.worker_command(task.task_queue)
        say(f"No worker polls its queue {task.task_queue!r}: it waits there for one. Start one: {start}")
    return begun
