"""``counterstep amend``: bring new facts to a task that runs."""

from __future__ import annotations

from typing import Annotated

import typer

from ..arguments.options import Address, By, Codec, Json, Namespace, Note, TaskId, Timeout, Token
from ..errors import CommandFailed
from ..operations.report_update import UpdateRequest, send
from ..terminal.output import say


def amend(
    id: TaskId,
    facts: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="New facts: JSON, or else text.")
    ] = None,
    invalidate: Annotated[
        list[str] | None,
        typer.Option(metavar="STEP", help="A step that has to run again in any case; repeatable."),
    ] = None,
    facts_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="New facts as JSON or YAML; - for stdin.")
    ] = None,
    by: By = None,
    note: Note = "",
    token: Token = None,
    timeout: Timeout = 30,
    address: Address = None,
    namespace: Namespace = None,
    codec: Codec = None,
    json: Json = False,
) -> None:
    """Bring new facts to a task: the steps that they affect are undone and run again, and no others."""
    from ..arguments.values import read_values

    said = read_values(facts or (), facts_file, option="a fact", root="facts")
    if not isinstance(said, dict):
        raise CommandFailed(f"{facts_file}: is not a mapping of facts.")
    if not said and not invalidate:
        raise CommandFailed("Name a new fact (NAME=VALUE or --facts-file), or a step with --invalidate.")
    news = [f"new facts {', '.join(said)}"] if said else []
    worthless = [f"invalid: {', '.join(invalidate)}"] if invalidate else []
    answer = send(
        UpdateRequest(
            id=id,
            update="amend",
            argument={"facts": said, "invalidates": invalidate or []},
            by=by,
            note=note,
            token=token,
        ),
        "; ".join([*news, *worthless]),
        seconds=timeout,
        address=address,
        namespace=namespace,
        codec=codec,
        json=json,
    )
    if answer is None:
        return
    affected = answer["affected"]
    say(f"To be undone and done again: {', '.join(affected)}." if affected else "No step is affected by it.")
