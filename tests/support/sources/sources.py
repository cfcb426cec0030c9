"""Finds and reads the Python files of the project."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OUTSIDE = {"tests", "examples", "benchmarks", "deploy", "docs"}
_BUILT = {"build", "dist"}


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    """Returns the Python files of folders at the root; of the whole repository where none is named.

    Hidden folders are not entered: an environment has many times the files of the project.
    """
    starts = [ROOT / folder for folder in folders] or [ROOT]
    return tuple(path for start in starts for path in sorted(_below(start)))


def package_sources() -> list[Path]:
    """Returns the Python files that are installed."""
    return [path for path in sources() if path.relative_to(ROOT).parts[0] not in OUTSIDE]


@cache
def tree(path: Path) -> ast.Module:
    """Returns what a file says; it is read once, and not to be changed."""
    return ast.parse(path.read_text(), filename=str(path))


def nodes(path: Path) -> Iterator[ast.AST]:
    """Yields everything that a file says."""
    return ast.walk(tree(path))


def _below(start: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(start):
        below[:] = [name for name in below if not name.startswith(".") and name not in _BUILT]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))
