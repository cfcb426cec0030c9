"""The build of the tests' workers."""

from __future__ import annotations

from temporalio.worker import _worker


def say_which_build() -> None:
    """Gives workers that name no build one, where the SDK would hash every module of the process for it."""
    _worker._default_build_id = "tests"
