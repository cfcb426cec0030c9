"""``counterstep resolve``: say what becomes of an undo that is stuck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from ...saga.ledger.call_id import label_of
from ..arguments.options import (
    Address,
    By,
    Codec,
    Json,
    Namespace,
    Note,
    TaskId,
    Timeout,
    Token,
    UndoId,
    Value,
)
from ..operations.report_update import UpdateRequest, send
from ..terminal.output import say

_OF_UNDOS = ("retry", "done", "skip")
_MOST: Final = 20


def resolve(
    id: TaskId,
    step: UndoId,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="Of a stuck undo: retry, done (undone by hand) or skip (leave it, with --note). "
            "Of a pivot: applied (its output with --value) or not_applied. After a reset: rollback or go_on. "
            "`counterstep status ID` says which of them answer.",
        ),
    ],
    by: By = None,
    note: Note = "",
    value: Value = None,
    token: Token = None,
    timeout: Timeout = 30,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Say what becomes of what needs attention: a stuck undo, a pivot of unknown outcome, a reset."""
    argument = {"step": step, "action": action}
    if value is not None:
        from ..arguments.values import read_value

        argument["value"] = read_value(value, option="--value")
    answer = send(
        UpdateRequest(id=id, update="resolve", argument=argument, by=by, note=note, token=token),
        f"{action} the undo of {step!r}" if action in _OF_UNDOS else f"{action}, for {step!r}",
        seconds=timeout,
        address=address,
        namespace=namespace,
        codec=codec,
        json=json,
    )
    undos = answer.get("undos", ()) if isinstance(answer, Mapping) else ()
    if len(undos) > 1:
        say(f"{len(undos)} undos: {', '.join(map(label_of, undos[:_MOST]))}{', ...' * (len(undos) > _MOST)}")
