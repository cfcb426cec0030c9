"""Recovers tasks as the command does, and as a client without any plugin or key."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowHandle

from counterstep.cli.failure import CommandFailed
from counterstep.cli.recoverer import Asked, Recovery, recover_task
from counterstep.cli.target import Target
from counterstep.tests.support.tasks import Tasks


def target_of(client: Client) -> Target:
    """The server of a client, as the command line finds it."""
    return Target({"target_host": client.service_client.config.target_host, "namespace": client.namespace})


async def recover(
    tasks: Tasks, handle: WorkflowHandle[Any, Any] | str, *, wait: bool = True, **asked: Any
) -> Recovery:
    """Runs ``counterstep recover``."""
    id_ = handle if isinstance(handle, str) else handle.id
    return await recover_task(target_of(tasks.client), Asked(id=id_, **asked), wait=wait)


async def refusal_of(tasks: Tasks, handle: WorkflowHandle[Any, Any] | str, **asked: Any) -> CommandFailed:
    """Runs ``counterstep recover`` for what it must refuse."""
    try:
        done = await recover(tasks, handle, **asked)
    except CommandFailed as failure:
        return failure
    raise AssertionError(f"it was not refused: {done}")
