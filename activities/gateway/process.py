"""The process of an agent: its environment, its working directory, what it prints, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic_core import from_json
from temporalio.exceptions import ApplicationError

from ...bundle.foreign.process_agent import ProcessAgent
from ...observability.redaction import redacted
from ...saga.agents.foreign.host_protocol import HostJob
from ...saga.errors import FailureType
from ...saga.failure import trim
from ...saga.spec.json_schema import check_input, in_short
from . import leash
from .last_words import last_words

_FROM_THE_WORKER: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SYSTEMROOT",
)
"""What a program needs to run at all; nothing of it is a secret."""

MOST_PRINTED: Final = 1_000_000
"""Bytes of its output that are kept, from the end: the answer is the last line."""

MOST_WRITTEN: Final = 8_000_000
"""Bytes of the file with its answer: one of 1 MB in the most wasteful way to write it, and more."""

_LAST_WORDS: Final = 8_000

_TEXT: Final = {"type": "string"}

_LINE_END: Final = re.compile(r"[\r\n]+")
"""What ends a line of the output; Python has others, and these may stand in an answer as they are."""


@dataclass(frozen=True, slots=True)
class ProcessPlace:
    """Where one run of a process is at home on this machine: the same place whenever it is started again.

    Attributes:
        home: Its home directory.
        work: Its working directory.
        output: The file in which it may leave its answer.
    """

    home: Path
    work: Path
    output: Path


@contextlib.contextmanager
def place_for(run: str, cwd: str | None) -> Any:
    """Makes the folders of a run, empty, and removes them in the end.

    Args:
        run: What tells the run apart; command-line agents tell their models where they are, so that the path
            is the same when they are started again.
        cwd: The working directory that was declared, which stays; None for one of these folders.

    Yields:
        The place.

    Raises:
        ApplicationError: Somebody else has a folder of this name.
    """
    base = Path(tempfile.gettempdir()) / f"counterstep-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
    shutil.rmtree(base, ignore_errors=True)
    try:
        base.mkdir(mode=0o700)
        found = base.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise FileExistsError
    except OSError as error:
        message = f"the folder {base} cannot be made: {error.strerror or 'it belongs to somebody else'}"
        raise ApplicationError(message, type=FailureType.PROCESS_NOT_STARTED) from None
    place = ProcessPlace(base / "home", Path(cwd) if cwd is not None else base / "work", base / "output.json")
    place.home.mkdir()
    if cwd is None:
        place.work.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(base, ignore_errors=True)


def environment(
    declared: ProcessAgent, job: HostJob, place: ProcessPlace, address: str, token: str
) -> dict[str, str]:
    """Returns all variables of the process: where it finds models and tools, and no secret but its token."""
    given = {name: os.environ[name] for name in _FROM_THE_WORKER if name in os.environ}
    given |= {"HOME": str(place.home), "TMPDIR": str(place.home), "NO_PROXY": "127.0.0.1,localhost"}
    given |= declared.variables
    models = f"{address}/v1"
    given |= {
        "OPENAI_BASE_URL": models,
        "OPENAI_API_BASE": models,
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_AUTH_TOKEN": token,
        "COUNTERSTEP_MCP_URL": f"{address}/mcp",
        "COUNTERSTEP_TOKEN": token,
        "COUNTERSTEP_INPUT": json.dumps(job.input, ensure_ascii=False),
        "COUNTERSTEP_OUTPUT": str(place.output),
    }
    if job.told:
        given["COUNTERSTEP_TOLD"] = json.dumps(job.told, ensure_ascii=False)
    if job.feedback:
        given["COUNTERSTEP_FEEDBACK"] = json.dumps(job.feedback, ensure_ascii=False)
    return given


class Process:
    """One process under its leash."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        """Takes a process that was started."""
        self._started = started
        assert started.stdout is not None and started.stderr is not None
        self._printed = _Tail(started.stdout, MOST_PRINTED)
        self._said = _Tail(started.stderr, _LAST_WORDS)

    async def printed(self) -> str:
        """Waits for its end; returns what it has printed.

        Raises:
            ApplicationError: It has ended with an error, or could not be started.
        """
        code = await self._started.wait()
        printed, said = await self._printed.text(), (await self._said.text()).strip()
        if code == leash.NOT_STARTED and "cannot be started" in said:
            raise ApplicationError(redacted(said), type=FailureType.PROCESS_NOT_STARTED, non_retryable=True)
        if code:
            words = trim(last_words(redacted(said), is_cut=self._said.is_cut) or "it has said nothing")
            raise ApplicationError(
                f"the process has ended with {code}: {words}", type=FailureType.PROCESS_FAILED
            )
        return printed


@asynccontextmanager
async def running(command: list[str], env: Mapping[str, str], cwd: Path) -> AsyncIterator[Process]:
    """Starts a process, and ends it with whatever it has started when the block is left.

    Args:
        command: The program and its arguments.
        env: All its variables.
        cwd: Its working directory.

    Yields:
        The process.

    Raises:
        ApplicationError: The system does not start it, and why.
    """
    pipe = asyncio.subprocess.PIPE
    held = [sys.executable, "-I", leash.__file__, *command]
    try:
        started = await asyncio.create_subprocess_exec(
            *held, env=dict(env), cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise _not_started(error, env) from None
    try:
        yield Process(started)
    finally:
        assert started.stdin is not None
        started.stdin.close()  # the leash ends everything
        try:
            await asyncio.wait_for(asyncio.shield(started.wait()), leash.GRACE + 5)
        except TimeoutError:
            started.kill()


def _not_started(error: OSError, env: Mapping[str, str]) -> ApplicationError:
    type_ = FailureType.PROCESS_NOT_STARTED
    if error.errno != errno.E2BIG:
        where = f": {error.filename}" if error.filename else ""
        return ApplicationError(f"the process cannot be started: {error.strerror}{where}", type=type_)
    sizes = {name: len(f"{name}={value}".encode(errors="surrogateescape")) for name, value in env.items()}
    largest = max(sizes, key=sizes.__getitem__)
    message = (
        f"the process cannot be started: {largest} has {sizes[largest]} bytes, which is more than the system "
        "takes (131,071 in one variable on Linux); give the agent less, e.g. the path of a file"
    )
    return ApplicationError(message, type=type_, non_retryable=True)


def answer_of(job: HostJob, printed: str, place: ProcessPlace) -> Any:
    """Reads the answer of a process: the file that it has left, or the last line that it has printed.

    Raises:
        ApplicationError: There is none, or it does not fit.
    """
    if place.output.is_file() and place.output.stat().st_size > MOST_WRITTEN:
        message = f"the answer in COUNTERSTEP_OUTPUT has more than {MOST_WRITTEN} bytes"
        raise ApplicationError(message, type=FailureType.PROCESS_FAILED)
    written = place.output.read_text("utf-8", "replace").strip() if place.output.is_file() else ""
    lines = [line.strip() for line in _LINE_END.split(printed) if line.strip()]
    text = (written or (lines[-1] if lines else "")).removeprefix("\ufeff")
    if not text:
        message = (
            "the process has printed nothing; its answer is the last line, or the file COUNTERSTEP_OUTPUT"
        )
        raise ApplicationError(message, type=FailureType.PROCESS_FAILED)
    is_text = job.output_schema in ({}, _TEXT)
    try:
        answer = from_json(text, allow_inf_nan=False) if written or not is_text else text
    except ValueError as error:
        if not is_text:
            shown = trim(redacted(text), 200)
            message = f"the answer of the process is not JSON ({error}): {shown}"
            raise ApplicationError(message, type=FailureType.PROCESS_FAILED) from None
        answer = text
    if faults := check_input(job.output_schema, answer, "output"):
        message = f"the answer of the process does not fit: {in_short(faults)}"
        raise ApplicationError(trim(message), type=FailureType.PROCESS_FAILED)
    return answer


class _Tail:
    """Reads a pipe to its end, so that nobody waits for room in it, and keeps the last of it."""

    def __init__(self, pipe: asyncio.StreamReader, most: int) -> None:
        self._pipe = pipe
        self._most = most
        self._kept = b""
        self.is_cut = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while chunk := await self._pipe.read(65536):
            kept = self._kept + chunk
            self.is_cut |= len(kept) > self._most
            self._kept = kept[-self._most :]

    async def text(self) -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._reading), 2)
        return self._kept.decode("utf-8", "replace")
