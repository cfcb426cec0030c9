"""``counterstep resolve``: say what becomes of an undo that is stuck."""

from __future__ import annotations

from typing import Annotated

import typer

from .message import Message, send
from .options import Address, By, Json, Namespace, Note, StepId, Timeout, Value
from .status import TaskId


def resolve(
    id: TaskId,
    step: StepId,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="retry: undo it again; done: it is undone by hand; skip: leave it as it is (with --note).",
        ),
    ],
    by: By = None,
    note: Note = "",
    value: Value = None,
    timeout: Timeout = 30,
    address: Address = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Say what becomes of an undo that is stuck."""
    argument = {"step": step, "action": action}
    if value is not None:
        from .values import read_value

        argument["value"] = read_value(value, option="--value")
    send(
        Message(id=id, update="resolve", argument=argument, by=by, note=note),
        f"{action} the undo of {step!r}",
        seconds=timeout,
        address=address,
        namespace=namespace,
        json=json,
    )
