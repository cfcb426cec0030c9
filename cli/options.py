"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Bundles = Annotated[
    list[str] | None,
    typer.Option(
        "--bundle", metavar="MODULE:ATTRIBUTE", help="A bundle to load; repeatable. Also COUNTERSTEP_BUNDLES."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="The Temporal server. Also TEMPORAL_ADDRESS or a Temporal profile."
    ),
]
Namespace = Annotated[
    str | None, typer.Option(metavar="NAME", help="The Temporal namespace. Also TEMPORAL_NAMESPACE.")
]
TaskQueue = Annotated[
    str | None, typer.Option(metavar="NAME", help="The queue of the workers. Also COUNTERSTEP_TASK_QUEUE.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
