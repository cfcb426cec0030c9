"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

SpecOrName = Annotated[
    str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, or the name of a registered task.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", metavar="NAME=VALUE", help="A part of the input: JSON, or else text; repeatable."
    ),
]
InputFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="The input as JSON or YAML; - for stdin.")
]
Bundles = Annotated[
    list[str] | None,
    typer.Option(
        "--bundle",
        metavar="MODULE:ATTRIBUTE",
        help="A bundle to load, or the name of an installed one; repeatable. Also COUNTERSTEP_BUNDLES.",
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
Codec = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:ATTRIBUTE",
        help="The payload codec of the workers: an object, or what makes one. Also COUNTERSTEP_CODEC.",
    ),
]
TaskQueue = Annotated[
    str | None, typer.Option(metavar="NAME", help="The queue of the workers. Also COUNTERSTEP_TASK_QUEUE.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
StepId = Annotated[str, typer.Argument(metavar="STEP", help="The id of the step, as `status` shows it.")]
UndoId = Annotated[
    str,
    typer.Argument(
        metavar="STEP",
        help="The id of the step, as `status` shows it: all its stuck undos. "
        "Or what one of them undoes, e.g. `invite[2]`.",
    ),
]
Value = Annotated[
    str | None, typer.Option(metavar="JSON", help="What the action needs beside its name, e.g. an output.")
]
By = Annotated[
    str | None,
    typer.Option(metavar="WHO", help="Who says so: a claim. Your login name if it is not given."),
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why.")]
Hash = Annotated[
    str | None,
    typer.Option(
        metavar="HASH",
        help="Of what was shown, as `status` prints it; without it what is shown now is printed and counts.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="JWT",
        envvar="COUNTERSTEP_DECISION_TOKEN",
        show_envvar=False,
        help="A signed token that proves who says so. Also COUNTERSTEP_DECISION_TOKEN, which no list of "
        "processes shows.",
    ),
]
Timeout = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for the task to accept it.")
]


TaskId = Annotated[str, typer.Argument(metavar="ID", help="The workflow id of a task.")]
