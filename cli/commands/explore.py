"""``counterstep explore``: break a task in every place and in every way, and see what is left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from ..arguments.options import Bundles, InputFile, Inputs, Json, SpecOrName
from ..errors import CommandFailed
from ..exit_codes import ExitCode
from ..terminal.output import emit


def explore(
    spec: SpecOrName,
    input: Inputs = None,
    input_file: InputFile = None,
    bundle: Bundles = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help="Only the cells 'POINT KIND' that fit; * is anything."),
    ] = None,
    effects: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION", help="Called with a task's id; returns what stands of it, as texts."
        ),
    ] = None,
    prepare: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Called with a task's id before the task starts."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Plays all model agents; a stand-in where not given."),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many runs go on at once; fewer where each is heavy."),
    ] = None,
    json: Json = False,
) -> None:
    """Break a task in every place and in every way, and check that nothing is left behind.

    The tools really run, once for each fault: name a database for tests. The server is a new one, thrown away
    at the end. Exits with 0 all green, 1 something does not hold, 2 bad usage or spec, 4 no server.
    """
    import asyncio

    from rich.console import Console

    from ...bundle.loading import load_bundles
    from ...bundle.registry import Registry
    from ...runtime.settings import read_settings
    from ...saga.history_format import STAND_IN
    from ..arguments.overrides import bundle_names, model_names
    from ..arguments.task_request import read_request

    names = bundle_names(bundle, read_settings())
    if not names:
        raise CommandFailed("Name the task's bundle with --bundle or COUNTERSTEP_BUNDLES.")
    catalog = Registry(load_bundles(names), default_models=(STAND_IN,)).catalog  # somebody plays every agent
    request = read_request(spec, input or (), input_file, catalog)
    if request.spec is None:
        raise CommandFailed(f"{spec} is not a task of these bundles.")
    # The testing kit is not part of what runs in production; only this command loads it.
    from ...testing.explore import PARALLEL
    from ...testing.explore import explore as run_explorer

    models = () if model is None else model_names(model)
    with _progress() as progress:
        report = asyncio.run(
            run_explorer(
                request.spec,
                bundles=names,
                input=request.input,
                only=only,
                effects=effects,
                prepare=prepare,
                model=models,
                parallel=parallel or PARALLEL,
                command=_without_only(sys.argv[1:]),
                progress=progress,
            )
        )
    report.show(Console(stderr=True))
    if json:
        emit(report.data())
    raise typer.Exit(ExitCode.COMPLETED if report.ok else ExitCode.ROLLED_BACK)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how far the exploration has come."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("a run without faults", total=None)
        yield lambda done, total: bar.update(task, description="one fault a run", completed=done, total=total)


def _without_only(words: Sequence[str]) -> list[str]:
    """Returns the given command line without ``--only``, so that another one can be added."""
    kept = ["counterstep"]
    skip = False
    for word in words:
        if not skip and word not in ("--only", "--json") and not word.startswith("--only="):
            kept.append(word)
        skip = word == "--only"
    return kept
