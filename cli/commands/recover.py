"""``counterstep recover``: undo what a terminated, timed-out or failed task has left behind."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Codec, Json, Namespace, TaskId
from ..terminal.output import emit


def recover(
    id: TaskId,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A run of an earlier task under this id; the newest if not given."),
    ] = None,
    not_applied: Annotated[
        bool,
        typer.Option("--not-applied", help="You know that a pivot whose outcome is unknown was not applied."),
    ] = False,
    task_queue: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The queue of the workers; the task's own if not given."),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            metavar="DEPLOYMENT.BUILD",
            help="The version whose workers undo it; the current one if not given.",
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end of the undos.")] = False,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Undo what a terminated, timed-out or failed task has left behind, read from its history alone.

    It runs once, as the workflow ID/recover/RUN, on workers that have the task's bundles. Exits with 0 all
    undone, 2 refused, 3 needs attention or incomplete, 4 no server or no worker, 130 left running.
    """
    from ..arguments.server_target import find_target
    from ..operations.recover_task import recover_task
    from ..operations.recovery_report import RecoverOptions

    asked = RecoverOptions(id=id, run_id=run, task_queue=task_queue, not_applied=not_applied, version=version)
    target = find_target(address, namespace, codec)
    outcome = target.ask(recover_task(target, asked, wait=not no_wait))
    if json:
        emit(outcome.model_dump(mode="json"))
    if not no_wait:
        raise typer.Exit(outcome.exit_code)
