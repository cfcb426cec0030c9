"""A task of stock tools on files, for the fault explorer, with a folder of its own for each run."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from counterstep import Bundle, Effect, current_step
from counterstep.stock import stock

__all__ = ["prepare", "snapshot", "spec", "standing", "stock", "workshop"]

workshop = Bundle("workshop")


@workshop.tool(effect=Effect.READ_ONLY)
def place() -> str:
    """The folder of the running task."""
    return str(_root() / current_step().task_id)


def spec() -> dict[str, Any]:
    """Changes files and folders in every way."""
    at = "${{ steps.place.output }}"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("write_file", {"path": f"{at}/old.txt", "content": "new", "mode": "600"}),
        ("write_file", {"path": f"{at}/new.bin", "content": "AAEC/w==", "encoding": "base64"}),
        ("append_file", {"path": f"{at}/log.txt", "content": "more"}),
        ("delete_file", {"path": f"{at}/gone.txt"}),
        ("move_file", {"path": f"{at}/here.txt", "to": f"{at}/there.txt"}),
        ("make_folder", {"path": f"{at}/folder"}),
        ("delete_folder", {"path": f"{at}/empty"}),
    ]
    steps: list[dict[str, Any]] = [{"id": "place", "tool": "workshop.place"}]
    for number, (tool, given) in enumerate(calls, 1):
        before = steps[-1]["id"]
        steps.append({"id": f"s{number}", "needs": [before], "tool": f"stock.{tool}", "input": given})
    return {"name": "workshop", "steps": steps}


def prepare(task_id: str) -> None:
    """Puts files into the folder of a task."""
    fill(_root() / task_id)


def fill(folder: Path) -> None:
    """Puts files into a folder, which has none yet."""
    (folder / "empty").mkdir(parents=True)
    (folder / "old.txt").write_text("old")
    (folder / "old.txt").chmod(0o640)
    (folder / "log.txt").write_text("log ")
    (folder / "gone.txt").write_bytes(b"\x00\xff")
    (folder / "here.txt").write_text("here")


def standing(task_id: str) -> list[str]:
    """All that is in the folder of a task."""
    return snapshot(_root() / task_id)


def snapshot(folder: Path) -> list[str]:
    """What is in a folder: kinds, permissions and contents; nothing if it is not there."""
    found = []
    for path in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        what = "folder" if path.is_dir() else path.read_bytes().hex()
        found.append(f"{path.relative_to(folder)} {mode:o} {what}")
    return [line for line in found if not line.startswith(".counterstep")]


def _root() -> Path:
    return Path(os.environ["COUNTERSTEP_STOCK_ROOTS"])
