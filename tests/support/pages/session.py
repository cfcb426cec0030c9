"""Follows a page as its reader does: files from its blocks, commands one after another in one shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .pages import Block

_MARK = "=== command"
_AWAIT_WORKER = (
    f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('await_worker.py')))}"
)
# Whatever differs from run to run.
_VARIES = [
    (re.compile(r"^\[ *[0-9.]+s\]", re.MULTILINE), "[T]"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"\b\d+(\.\d+)?s\b"), "T"),
    (re.compile(r"\(\d+ s\)"), "(T)"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
    # What the shell says of jobs that have ended.
    (re.compile(r"^(\S+: line \d+: |\[\d\][+-]? ).*\n", re.MULTILINE), ""),
]


@dataclass(frozen=True, slots=True)
class Said:
    """What one command of a page should print, and what it has printed."""

    place: str
    command: str
    expected: str
    printed: str

    @property
    def agrees(self) -> bool:
        """Whether they are the same; a line ``...``, or one that ends with it, stands for anything."""
        parts = [re.escape(part) for part in _plain(self.expected).split("...")]
        return re.fullmatch(".*".join(parts), _plain(self.printed), re.DOTALL) is not None


def follow(page: list[Block], folder: Path, seconds: float) -> list[Said]:
    """Writes the files of a page and runs its console commands.

    Args:
        page: Its blocks.
        folder: An empty folder.
        seconds: How long all of it may take.

    Returns:
        One entry for each command, in order.
    """
    staged = folder / ".page"
    staged.mkdir()
    script = ["set -m", "trap 'kill $(jobs -p) 2>/dev/null; counterstep server --stop' EXIT"]
    wanted: list[tuple[str, str, str]] = []
    for number, block in enumerate(page):
        if block.file is not None:
            (staged / str(number)).write_text(f"\n\n{block.text}" if "add to" in block.title else block.text)
            into = ">>" if block.title.startswith("add to") else ">"
            script.append(f"cat .page/{number} {into} {block.file}")
        elif block.language == "console":
            for command, printed in block.session():
                wanted.append((block.place, command, printed))
                # The next command sees how this one has ended.
                script += [command, f"_s=$?; echo '{_MARK}'; (exit $_s)"]
                if command.startswith("counterstep worker") and command.endswith("&"):
                    script.append(f"{_AWAIT_WORKER} $!")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COUNTERSTEP", "TEMPORAL", "PYTEST"))
    }
    with open(folder / "printed.txt", "w+") as output:
        subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env={**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
        output.seek(0)
        heard = output.read().split(f"{_MARK}\n")
    return [
        Said(place, command, printed, heard[number] if number < len(heard) else "")
        for number, (place, command, printed) in enumerate(wanted)
    ]


def _plain(text: str) -> str:
    for varies, name in _VARIES:
        text = varies.sub(name, text)
    return text.strip()
