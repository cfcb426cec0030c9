"""The program ``counterstep``: its commands, and the one place where its exit code is decided."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Annotated, Any

import typer

from .commands.a2a import a2a
from .commands.amend import amend
from .commands.authoring.catalog import catalog
from .commands.authoring.check import check
from .commands.authoring.new import new
from .commands.authoring.schema import schema
from .commands.cancel import cancel
from .commands.decide import approve, decide, reject
from .commands.decisions import decisions
from .commands.explore import explore
from .commands.graph import graph
from .commands.inbox import inbox
from .commands.limits import limits
from .commands.list import list_tasks
from .commands.mcp import mcp
from .commands.recover import recover
from .commands.resolve import resolve
from .commands.result import result
from .commands.server import server
from .commands.starting.fork import fork
from .commands.starting.publish import publish
from .commands.starting.run import run
from .commands.starting.start import start
from .commands.status import status
from .commands.sweep import sweep
from .commands.watch import watch
from .commands.worker import worker
from .errors import CommandFailed, as_failure, as_outcome
from .exit_codes import ExitCode
from .terminal.output import emit, has_emitted, keep_stdout_for_data, say
from .terminal.streams import open_streams

app = typer.Typer(
    name="counterstep",
    help="Multi-agent tasks on Temporal that finish with checked output or undo what they did.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Makes every command end in the same way: a failure is one sentence, or one object with ``--json``.

    What a user's code raises, for example `SystemExit`, is not mistaken for the end of the command itself.
    """

    @wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        keep_stdout_for_data()
        try:
            for name in ("id", "new_id"):
                _refuse_bad_texts(options.get(name))
            command(*arguments, **options)
        except typer.Exit:
            raise
        except BaseException as error:
            failure = as_failure(error)
            if options.get("json") and not has_emitted():
                # For these commands the id is not that of a task which they have started.
                id = "" if command in (run, start, fork) else options.get("id") or ""
                with suppress(CommandFailed):
                    emit(as_outcome(failure, id if id.isprintable() else ""))
            raise failure from error

    return guarded


def _refuse_bad_texts(id: str | None) -> None:
    for word in sys.argv[1:]:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise CommandFailed(f"{word!r} is not UTF-8 text.") from None
    if id is not None and not id.strip():
        raise CommandFailed("The id is empty.")


for command in (run, start, fork, publish, status, watch, result, decisions, cancel):
    app.command()(_guarded(command))
app.command("list")(_guarded(list_tasks))
for decision in (resolve, decide, approve, reject, amend):
    app.command()(_guarded(decision))
for other in (recover, sweep, limits, new, check, graph, schema, catalog, explore):
    app.command()(_guarded(other))
for served in (server, worker, inbox, mcp, a2a):
    app.command()(_guarded(served))


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
    pass


def run_command_line() -> int:
    """Runs the command line that the process was started with; returns its exit code."""
    open_streams()
    try:
        app(prog_name="counterstep")
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else ExitCode.BAD_USAGE
    except (Exception, KeyboardInterrupt) as error:
        failure = as_failure(error)
        say(str(failure))
        if failure.code is ExitCode.INTERNAL:
            _keep_traceback(error)
        return failure.code
    return ExitCode.COMPLETED


def _keep_traceback(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="counterstep-", suffix=".txt", delete=False) as file:
            file.write(text)
    except OSError:
        say(text)
        return
    say(f"Its traceback is in {file.name}; please report it.")
