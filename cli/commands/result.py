"""``counterstep result``: how a task ended."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Codec, Json, Namespace, TaskId


def result(
    id: TaskId,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the task, and print nothing meanwhile.")
    ] = False,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Print what a task has returned, or why it has not.

    A task that has not ended yet is not waited for, unless --wait says so. Exits as `run` does.
    """
    from ..arguments.server_target import find_target
    from ..operations.find_result import find_result
    from ..terminal.summary import finish

    target = find_target(address, namespace, codec)
    outcome, end = target.ask(find_result(target, id, wait=wait))
    finish(outcome, end, target.options(), json=json)
