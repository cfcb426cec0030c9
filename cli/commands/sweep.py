"""``counterstep sweep``: find all tasks that have left something behind, and recover them."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, Codec, Json, Namespace
from ..errors import CommandFailed
from ..terminal.output import emit, say


def sweep(
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Only those that ended at least so long ago, e.g. 30s, 5m, 2h."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Recover them; without it they are only shown.")] = False,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Show the tasks that were terminated, timed out or have failed before everything was undone.

    With --yes each of them that may be is recovered as by `recover`, and not waited for.
    """
    from ...saga.duration import parse_duration
    from ..arguments.server_target import find_target
    from ..operations.sweep_namespace import print_rows, sweep_namespace

    try:
        age = None if older_than is None else parse_duration(older_than)
    except ValueError as error:
        raise CommandFailed(f"--older-than: {error}.") from None
    target = find_target(address, namespace, codec)
    rows = target.ask(sweep_namespace(target, age, act=yes))
    print_rows(rows)
    if json:
        emit([row.model_dump(mode="json") for row in rows])
    waiting = [row for row in rows if row.left and not row.recovery_id]
    if waiting:
        say("Nothing was done; --yes recovers those that have something left to undo.")
