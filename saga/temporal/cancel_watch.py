"""A cancel of the workflow as state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from temporalio import workflow

T = TypeVar("T")


class CancelWatch:
    """A cancel as state: seen once, tested after every wait, never swallowed by a call that completes.

    Attributes:
        requested: True once the workflow was asked to cancel.
    """

    def __init__(self) -> None:
        """Starts with no cancel seen."""
        self.requested = False

    async def outlast(self, work: Coroutine[Any, Any, T], on_cancel: Callable[[], None]) -> T:
        """Awaits work that no cancel may interrupt, neither the workflow's nor one by the code around it.

        Args:
            work: Runs in a task of its own.
            on_cancel: Called once, when the workflow is asked to cancel, or was before.

        Returns:
            What the work returns.
        """
        task = asyncio.create_task(work)
        while not task.done():
            if not self.requested and workflow.cancellation_reason() is not None:
                self.requested = True
                on_cancel()
            # An eviction from the worker's cache cancels the work's own task too, and so ends this loop.
            with suppress(asyncio.CancelledError):
                await workflow.wait([task])
        return task.result()
