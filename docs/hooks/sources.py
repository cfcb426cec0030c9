"""Copies the package's sources for mkdocstrings, which reads every folder below a package.

The root of the repository is the package, so that it would read .venv as well.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Final, Literal

_ROOT: Final = Path(__file__).parents[2]

API: Final = _ROOT / ".counterstep" / "api"
"""As ``paths`` in mkdocs.yml says."""


def on_startup(command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:
    """Copies what the wheel has; mkdocstrings looks for the folder before anything else is done."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    shutil.rmtree(API, ignore_errors=True)
    for package in project["tool"]["setuptools"]["packages"]:
        folder = API / package.replace(".", "/")
        folder.mkdir(parents=True)
        for source in (_ROOT / folder.relative_to(API / "counterstep")).glob("*.py"):
            shutil.copy(source, folder)
