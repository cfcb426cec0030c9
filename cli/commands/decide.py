"""``counterstep decide``, ``approve`` and ``reject``: answer a step that waits for a person."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..arguments.options import (
    Address,
    By,
    Codec,
    Hash,
    Json,
    Namespace,
    Note,
    StepId,
    TaskId,
    Timeout,
    Token,
    Value,
)
from ..operations.report_update import UpdateRequest, send


def decide(
    id: TaskId,
    step: StepId,
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="One that `status` offers, e.g. retry or rollback.")
    ],
    value: Value = None,
    by: By = None,
    note: Note = "",
    hash: Hash = None,
    token: Token = None,
    timeout: Timeout = 30,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Answer a step that waits for a person."""
    argument: dict[str, Any] = {"step": step, "action": action}
    if value is not None:
        from ..arguments.values import read_value

        argument["value"] = read_value(value, option="--value")
    if hash is not None:
        argument["hash"] = hash
    send(
        UpdateRequest(id=id, update="decide", argument=argument, by=by, note=note, token=token),
        f"{action} {step!r}",
        seconds=timeout,
        address=address,
        namespace=namespace,
        codec=codec,
        json=json,
    )


def approve(
    id: TaskId,
    step: StepId,
    by: By = None,
    note: Note = "",
    hash: Hash = None,
    token: Token = None,
    timeout: Timeout = 30,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Approve what a step asks: `decide ID STEP approve`."""
    decide(id, step, "approve", None, by, note, hash, token, timeout, address, namespace, codec, json)


def reject(
    id: TaskId,
    step: StepId,
    by: By = None,
    note: Note = "",
    hash: Hash = None,
    token: Token = None,
    timeout: Timeout = 30,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Reject what a step asks: `decide ID STEP reject`."""
    decide(id, step, "reject", None, by, note, hash, token, timeout, address, namespace, codec, json)
