"""What the examples' demos have in common: they run ``counterstep`` as a user would, and show rows."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

IsRunning = Callable[[], bool]


def say(line: str = "") -> None:
    """Prints a line at once, so that it stands before what a command prints."""
    print(line, flush=True)


def play(
    words: Sequence[str],
    task_id: str,
    *,
    environment: Mapping[str, str] | None = None,
    meanwhile: Callable[[IsRunning], None] | None = None,
) -> tuple[int, dict[str, Any] | None]:
    """Runs a task as a user would.

    Args:
        words: The command without ``counterstep`` and ``--id``.
        task_id: The id of the task.
        environment: Variables that are set for this run.
        meanwhile: Called while it runs, with what tells whether it still does.

    Returns:
        The exit code, and the JSON that was printed, if any was.
    """
    variables = dict(environment or {})
    prefix = [f"{name}={value}" for name, value in variables.items()]
    say(f"\n$ {' '.join([*prefix, program(), shlex.join(words)])}\n")
    # Ctrl-C is for the run, which asks what to do; a handler, unlike SIG_IGN, is not inherited.
    ours = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        run = subprocess.Popen(
            [*_counterstep(), *words, "--id", task_id, "--json"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        if meanwhile is not None:
            meanwhile(lambda: run.poll() is None)
        printed, _ = run.communicate()
    finally:
        signal.signal(signal.SIGINT, ours)
    try:
        return run.returncode, json.loads(printed)
    except ValueError:
        return run.returncode, None


def command(*words: str) -> None:
    """Shows a command of ``counterstep`` and runs it to its end."""
    say(f"\n$ {program()} {shlex.join(words)}\n")
    subprocess.run([*_counterstep(), *words], stdout=subprocess.DEVNULL, check=False)


@contextmanager
def worker(bundle: str, task_id: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Runs a worker that carries on a task which a run has left because it asks a person.

    It is entered when the worker can tell what the task asks, and so can take the answer.

    Args:
        bundle: The task's bundle, as ``module:attribute``.
        task_id: The id of the task.
        environment: Variables that are set for the worker.
    """
    words = ["worker", "--bundle", bundle, "--task-queue", f"counterstep:{task_id}"]
    say(f"\n$ {program()} {shlex.join(words)} &")
    process = subprocess.Popen(
        [*_counterstep(), *words], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None and not _asks(task_id):
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def _asks(task_id: str) -> bool:
    shown = subprocess.run(
        [*_counterstep(), "status", task_id, "--json"], capture_output=True, text=True, check=False
    )
    try:
        return bool(json.loads(shown.stdout)["waiting_for"])
    except (ValueError, KeyError):
        return False


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; numbers stand to the right."""
    say(f"\n{title}\n")
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(len(line[place]) for line in [header, *cells]) for place in range(len(header))]
    numbers = [any(isinstance(row[place], int) for row in rows) for place in range(len(header))]
    for line in [header, *cells]:
        aligned = [
            value.rjust(width) if number else value.ljust(width)
            for value, width, number in zip(line, widths, numbers, strict=True)
        ]
        say(f"  {'  '.join(aligned)}".rstrip())


def as_promised(differences: Sequence[str], proof: str) -> bool:
    """Says what a scene has proved, or where the database is not as promised.

    Args:
        differences: One sentence for each difference.
        proof: What is proved if there are no differences.

    Returns:
        Whether there are no differences.
    """
    if not differences:
        say(f"\n{proof}")
        return True
    say("\nNOT as promised:")
    for difference in differences:
        say(f"  {difference}")
    return False


def program() -> str:
    """Returns what a user types for ``counterstep`` in the working directory."""
    installed = Path(sys.executable).with_name("counterstep")
    return os.path.relpath(installed) if installed.exists() else "counterstep"


def exit_with(main: Callable[[], int], variable: str) -> None:
    """Ends the program with what `main` returns; `variable` is the one that names the database."""
    try:
        sys.exit(main())
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        sys.exit(f"The database cannot be used ({reason}); {variable} names it.")


def _counterstep() -> list[str]:
    return [sys.executable, "-m", "counterstep.cli"]
