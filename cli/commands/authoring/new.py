"""``counterstep new``: the files of a bundle to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...arguments.options import Json
from ...terminal.output import emit, say


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the bundle, e.g. shop.")],
    folder: Annotated[
        str | None,
        typer.Option("--dir", metavar="DIR", help="Where to write it; a new folder NAME if not given."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a bundle with one tool, its undo, a task, and a test that breaks it in every way.

    Nothing that is there already is overwritten.
    """
    import shlex

    from ...operations.new_bundle import write_bundle

    place = Path(name if folder is None else folder)
    files = write_bundle(name, place)
    bundle = f"--bundle {name}:{name}"
    say(f"Written: {', '.join(map(str, files))}.")
    say("What next:")
    for line in (
        *([] if place.resolve() == Path.cwd() else [f"cd {shlex.quote(str(place))}"]),
        f"counterstep check {name}.yaml {bundle}",
        f"counterstep run {name}.yaml {bundle} --input item=pen --input quantity=2",
        f"python -m pytest test_{name}.py",
    ):
        say(f"  {line}")
    if json:
        emit({"files": [str(file) for file in files]})
