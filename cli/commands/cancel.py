"""``counterstep cancel``: stop a task and undo what it did."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Codec, Json, Namespace, TaskId
from ..terminal.output import emit


def cancel(
    id: TaskId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exits as `run` does then.")] = False,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Cancel a task: what it did is undone first, by its workers."""
    from ..arguments.server_target import find_target
    from ..operations.cancel_task import cancel_task
    from ..terminal.summary import exit_code_of, print_summary

    target = find_target(address, namespace, codec)
    outcome, end = target.ask(cancel_task(target, id, wait=wait))
    if end is not None:
        print_summary(outcome, end, target.options())
    if json:
        emit(outcome.model_dump(mode="json"))
    if wait:
        raise typer.Exit(exit_code_of(outcome))
