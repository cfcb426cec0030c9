"""Processes that are forked off one in which the command line is imported already.

Hundreds of commands run in the tests, and the start of Python and its imports would take longer than what
most of them do. They are processes of their own all the same, with folder, environment, streams, signals and
exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

# Elsewhere a fork without an exec is not safe, and each process starts from nothing.
_PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
if sys.platform == "linux":
    _PROCESSES.set_forkserver_preload(["counterstep.tests.support.processes.forked_imports"])


class Forked:
    """A process under way, with the methods of `subprocess.Popen` that the tests need."""

    def __init__(
        self,
        program: Callable[..., object],
        *arguments: str,
        folder: Path,
        environment: Mapping[str, str],
        stderr: Path,
        stdin: str = "",
        terminal: str | None = None,
    ) -> None:
        """Starts it.

        Args:
            program: What it runs.
            arguments: What it is given, and finds in ``sys.argv``.
            folder: Its working directory.
            environment: All of its variables.
            stderr: A file.
            stdin: What it reads.
            terminal: A terminal that it reads from; nothing of `stdin` then.
        """
        files = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, files, ignore_errors=True)
        self._out, typed = files / "out", files / "in"
        typed.write_text(stdin)
        if terminal is None:
            stderr.write_text("")
        self._process = _PROCESSES.Process(  # type: ignore[attr-defined]
            target=_become,
            args=(program, arguments, folder, dict(environment), terminal or typed, self._out, stderr),
            daemon=True,
        )
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, minus the signal that killed it, or None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self.wait(timeout)
        return self._out.read_text(), None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _become(
    program: Callable[..., object],
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdin: str | Path,
    stdout: Path,
    stderr: str | Path,
) -> Any:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    new = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, (path, how) in enumerate([(stdin, os.O_RDONLY), (stdout, new), (stderr, new)]):
        opened = os.open(path, how | os.O_NOCTTY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.argv = [program.__name__, *arguments]
    program(*arguments)
