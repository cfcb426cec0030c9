"""Runs the command line as a user does: as a process of its own, in a folder with a bundle and specs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from counterstep.cli import main
from counterstep.tests.support.processes.forked import Forked

COMMAND = [sys.executable, "-m", "counterstep.cli"]
"""The command as a process that starts from nothing; `Shop` forks it."""

BUNDLE = """
import os, time
from datetime import timedelta
from pydantic import BaseModel
from temporalio.exceptions import ApplicationError
from counterstep import Agent, Bundle, Effect, Undo, current_step

shop = Bundle("shop", stand_in=True)


class Order(BaseModel):
    sku: str


def note(text):
    with open(os.environ.get("SHOP_LOG", "shop.log"), "a") as log:
        log.write(text + "\\n")


def wait_while_held(what):
    folder = os.path.dirname(os.environ.get("SHOP_LOG", ""))
    while os.path.exists(os.path.join(folder, f"hold {what}")):
        time.sleep(0.02)


@shop.tool(compensate="release")
def reserve(sku: str, delay: float = 0) -> Order:
    print("printed by a tool")
    note(f"begin {sku}")
    time.sleep(delay)
    wait_while_held(f"reserve {sku}")
    note(f"reserve {sku}")
    return Order(sku=sku)


@shop.tool(compensate="release", interruptible=True)
def linger(sku: str, delay: float = 0) -> Order:
    # Fails at first, and is tried again after a delay; nothing runs meanwhile.
    note(f"begin {sku}")
    if delay and current_step().attempt == 1:
        raise ApplicationError("not yet", next_retry_delay=timedelta(seconds=delay))
    note(f"reserve {sku}")
    return Order(sku=sku)


@shop.compensation
def release(undo: Undo[Order]) -> None:
    if undo.input["sku"] == "stuck" and not os.path.exists("unstuck"):
        raise ApplicationError("cannot be released", non_retryable=True)
    wait_while_held(f"release {undo.input['sku']}")
    note(f"release {undo.input['sku']}")


@shop.tool(effect=Effect.READ_ONLY)
def explode() -> str:
    raise ApplicationError("bang \\x1b[31m", type="Bang", non_retryable=True)


shop.add(Agent(name="buyer", description="Buys.", instructions="Buy.", input=Order, output=Order))
shop.add_task({
    "name": "order",
    "input": {"type": "object", "required": ["sku"], "additionalProperties": False,
              "properties": {"sku": {"type": "string"}}},
    "steps": [{"id": "take", "tool": "shop.reserve", "input": {"sku": "${{ task.sku }}"}}],
    "output": {"took": "${{ steps.take.output.sku }}"},
})
"""

ORDER = """
name: order
goal: Take two things.
input:
  type: object
  required: [sku]
  properties: {sku: {type: string}, delay: {type: number}}
  additionalProperties: false
steps:
  - id: first
    tool: shop.reserve
    input: {sku: "${{ task.sku }}"}
  - id: second
    needs: [first]
    tool: shop.linger
    input: {sku: more, delay: "${{ has(task.delay) ? task.delay : 0 }}"}
output: {took: "${{ steps.first.output.sku }}"}
"""

FAILS = ORDER.replace("output:", "  - id: last\n    needs: [second]\n    tool: shop.explode\noutput:")

BUYS = """
name: buys
steps:
  - id: buy
    agent: shop.buyer
    input: {sku: pen}
"""


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shop:
    """A user's folder.

    Attributes:
        folder: With ``shop.py``, ``order.yaml``, ``fails.yaml`` and ``buys.yaml``.
        environment: Variables beside the test run's own.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, **environment: str) -> Shop:
        """Writes the files."""
        for name, text in (
            ("shop.py", BUNDLE),
            ("order.yaml", ORDER),
            ("fails.yaml", FAILS),
            ("buys.yaml", BUYS),
        ):
            (folder / name).write_text(text)
        return cls(folder, environment)

    def run_together(self, *commands: Sequence[str]) -> list[Ended]:
        """Runs commands side by side to their ends."""
        with ThreadPoolExecutor(len(commands)) as threads:
            return list(threads.map(lambda arguments: self.run(*arguments), commands))

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        """Runs a command to its end."""
        with tempfile.NamedTemporaryFile() as said:
            running = self.start(*arguments, stderr=Path(said.name), stdin=stdin)
            try:
                out, _ = running.communicate(timeout=100)
            finally:
                running.kill()
            err = Path(said.name).read_text()
        assert "Traceback" not in err, err
        return Ended(running.wait(), out, err)

    def run_from_nothing(self, *arguments: str, **variables: str) -> Ended:
        """Runs a command in a process of which nothing is imported yet, with more variables."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**self.variables(), **variables},
            capture_output=True,
            text=True,
            timeout=100,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, stderr: Path, stdin: str = "") -> Forked:
        """Starts a command with its stderr in a file."""
        return Forked(
            counterstep,
            *arguments,
            folder=self.folder,
            environment=self.variables(),
            stderr=stderr,
            stdin=stdin,
        )

    def variables(self) -> dict[str, str]:
        """The environment of the commands: nothing of the tester's own settings."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEMPORAL_", "COUNTERSTEP_"))
        }
        return {**own, "NO_COLOR": "1", "HOME": str(self.folder), **self.environment}

    def hold(self, what: str) -> None:
        """Holds ``reserve SKU`` or ``release SKU`` just before its effect."""
        (self.folder / f"hold {what}").touch()

    def let_go(self, what: str) -> None:
        """Lets go of it."""
        (self.folder / f"hold {what}").unlink()

    def log(self) -> list[str]:
        """What the tools have done."""
        path = self.folder / "shop.log"
        return path.read_text().splitlines() if path.exists() else []


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, shop: Shop, *arguments: str) -> None:
        self._screen, own_end = pty.openpty()
        self.seen = ""
        tty = os.ttyname(own_end)
        self.process = Forked(
            counterstep,
            *arguments,
            folder=shop.folder,
            environment={**shop.variables(), "TERM": "xterm", "COLUMNS": "100"},
            terminal=tty,
            stderr=Path(tty),
        )
        os.close(own_end)

    def type(self, text: str) -> None:
        os.write(self._screen, text.encode())

    def shows(self, text: str) -> bool:
        """Whether the terminal has shown a text by now."""
        os.set_blocking(self._screen, False)
        try:
            while chunk := os.read(self._screen, 65536):
                self.seen += chunk.decode(errors="replace")
        except OSError:
            pass
        return text in self.seen

    def close(self) -> int:
        """Waits for the command and returns its exit code."""
        until(lambda: self.shows("") and self.process.poll() is not None, f"the end of {self.seen}")
        os.close(self._screen)
        return self.process.wait()


def counterstep(*arguments: str) -> None:
    """The command; it finds its arguments in ``sys.argv``."""
    main()


def until(holds: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} has not happened"
        time.sleep(0.02)


def until_written(file: Path, text: str) -> None:
    """Waits until a file holds a text."""
    until(lambda: text in file.read_text(), f"{text!r} in {file}: {file.read_text()!r}")
