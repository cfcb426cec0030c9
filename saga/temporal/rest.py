"""The wait of a workflow between two portions of its work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

_SOON = timedelta(milliseconds=1)


class Rest:
    """Waits for a later workflow task.

    A timer brings it, for which a server with Temporal's defaults takes up to a second; or a call that ends,
    where that comes first.
    """

    def __init__(self, ended: Callable[[], int] | None) -> None:
        """Prepares to rest.

        Args:
            ended: How many calls have ended; None for tasks that were begun when only a timer counted.
        """
        self._ended = ended

    async def take(self, summary: str) -> None:
        """Rests; `summary` says why in the Web UI."""
        count = self._ended
        if count is None:
            await workflow.sleep(_SOON, summary=summary)
            return
        ended, length = count(), workflow.info().get_current_history_length()

        def is_later() -> bool:
            # What has ended already in this workflow task gives it no rest.
            return count() != ended and workflow.info().get_current_history_length() != length

        with suppress(TimeoutError):
            await workflow.wait_condition(is_later, timeout=_SOON, timeout_summary=summary)
