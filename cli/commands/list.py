"""``counterstep list``: the tasks of a namespace."""

from __future__ import annotations

from typing import Annotated

import typer

from ...saga.record.task_state import TaskState
from ..arguments.options import Address, Codec, Json, Namespace
from ..terminal.output import emit


def list_tasks(
    state: Annotated[
        list[TaskState] | None,
        typer.Option(metavar="STATE", help="Only tasks in this state, e.g. waiting; repeatable."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only tasks of this name, e.g. shop.order.")
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="FILTER", help="Only what fits this list filter of Temporal's as well."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="NUMBER", help="At most so many.")] = 20,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """List tasks: those that run, then the others by their end. What ended before it began is left out."""
    from ..arguments.server_target import find_target
    from ..operations.list_tasks import list_rows, print_rows

    target = find_target(address, namespace, codec)
    rows, more = target.ask(list_rows(target, states=state or (), task=task, query=query, limit=limit))
    print_rows(rows, more=more)
    if json:
        emit([row.model_dump(mode="json") for row in rows])
