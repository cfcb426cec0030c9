"""``counterstep cancel``: stop a task and undo what it did."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Address, Json, Namespace
from .output import emit
from .status import TaskId


def cancel(
    id: TaskId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exits as `run` does then.")] = False,
    address: Address = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Cancel a task: what it did is undone first, by its workers."""
    from .canceller import cancel_task
    from .outcome import exit_code_of
    from .summary import print_summary
    from .target import find_target

    target = find_target(address, namespace)
    outcome, end = target.ask(cancel_task(target, id, wait=wait))
    if end is not None:
        print_summary(outcome, end, target.options())
    if json:
        emit(outcome.model_dump(mode="json"))
    if wait:
        raise typer.Exit(exit_code_of(outcome))
