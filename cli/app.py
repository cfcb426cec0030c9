"""The program ``counterstep``: its commands, and the one place where it ends."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ..process import end_process
from .amend import amend
from .cancel import cancel
from .catalog import catalog
from .check import check
from .decide import approve, decide, reject
from .explore import explore
from .failure import ExitCode, as_failure
from .graph import graph
from .list import list_tasks
from .output import keep_stdout_for_data, say
from .recover import recover
from .resolve import resolve
from .result import result
from .run import run
from .schema import schema
from .server import server
from .start import start
from .status import status
from .sweep import sweep
from .watch import watch
from .worker import worker

app = typer.Typer(
    name="counterstep",
    help="Multi-agent tasks on Temporal that finish with checked output or undo what they did.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Keeps what a user's code raises from passing for the end of the command itself."""

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (KeyboardInterrupt, SystemExit) as error:
            raise as_failure(error) from error

    return guarded


for command in (run, start, status, watch, result, cancel):
    app.command()(_guarded(command))
app.command("list")(_guarded(list_tasks))
for decision in (resolve, decide, approve, reject, amend):
    app.command()(_guarded(decision))
for other in (recover, sweep, check, graph, schema, catalog, explore, server, worker):
    app.command()(_guarded(other))


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"counterstep {version('counterstep')}")
        raise typer.Exit


@app.callback()
def _before_each(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    keep_stdout_for_data()


def main() -> NoReturn:
    """Runs the command line that the process was started with, and ends the process."""
    end_process(_run())


def _run() -> int:
    try:
        app(prog_name="counterstep")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else ExitCode.BAD_USAGE
    except Exception as error:
        failure = as_failure(error)
        say(str(failure))
        if failure.code is ExitCode.INTERNAL:
            say(f"Its traceback is in {_keep_traceback(error)}; please report it.")
        return failure.code
    return ExitCode.COMPLETED


def _keep_traceback(error: BaseException) -> Path:
    with tempfile.NamedTemporaryFile("w", prefix="counterstep-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    return Path(file.name)
